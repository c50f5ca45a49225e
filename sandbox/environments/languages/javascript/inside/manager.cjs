#!/usr/bin/env node
// Stands for pnpm and yarn where scripts call them: runs scripts and programs of packages, and installs nothing.
'use strict';
const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');

const WITH_VALUE = new Set(['--filter', '-F', '--dir', '-C', '--cwd', '--prefix', '--workspace', '-w']);

function manifest(folder) {
  try {
    return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
  } catch {
    return null;
  }
}

function nearest() {
  for (let at = process.cwd(); at !== path.dirname(at); at = path.dirname(at)) if (manifest(at)) return at;
  return process.cwd();
}

// Every package of the workspace, as [folder, manifest].
function packages() {
  const found = [];
  const stack = [process.env.PENSTOCK_WORKSPACE || '/workspace'];
  while (stack.length) {
    const at = stack.pop();
    const own = manifest(at);
    if (own) found.push([at, own]);
    for (const entry of fs.readdirSync(at, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name !== 'node_modules' && !entry.name.startsWith('.')) stack.push(path.join(at, entry.name));
    }
  }
  return found.sort(([one], [other]) => (one < other ? -1 : 1));
}

function bins(folder) {
  const found = [];
  for (let at = folder; at !== path.dirname(at); at = path.dirname(at)) found.push(path.join(at, 'node_modules/.bin'));
  return found;
}

function shell(folder, command, args, event) {
  const done = spawnSync('/bin/sh', ['-c', `${command} "$@"`, 'sh', ...args], {
    cwd: folder,
    stdio: 'inherit',
    env: { ...process.env, PATH: [...bins(folder), process.env.PATH].join(':'), npm_lifecycle_event: event },
  });
  return done.status ?? 1;
}

function runIn(folder, name, args, needed) {
  const scripts = manifest(folder)?.scripts || {};
  const pattern = /^\/(.*)\/$/.exec(name);
  const names = pattern ? Object.keys(scripts).filter((one) => new RegExp(pattern[1]).test(one)) : [name];
  for (const one of names) {
    if (!scripts[one]) return needed ? shell(folder, JSON.stringify(one), args, one) : 0;
    for (const part of [`pre${one}`, one, `post${one}`]) {
      const status = scripts[part] ? shell(folder, scripts[part], part === one ? args : [], part) : 0;
      if (status !== 0) return status;
    }
  }
  return 0;
}

function main(words) {
  let folders = null;
  let needed = true;
  while (words.length && words[0].startsWith('-')) {
    const [option, value] = words[0].split('=');
    words = words.slice(1);
    const given = WITH_VALUE.has(option) ? value ?? words[0] : undefined;
    if (given !== undefined && value === undefined) words = words.slice(1);
    if (option === '-r' || option === '--recursive') folders = packages().slice(1).map(([at]) => at);
    else if (option === '--if-present') needed = false;
    else if (option === '--filter' || option === '-F') {
      const wanted = given.replace(/^\.{3}|\.{3}$/g, '');
      folders = packages().filter(([at, own]) => own.name === wanted || at.endsWith(`/${wanted.replace(/^[{]?\.\/|[}]$/g, '')}`)).map(([at]) => at);
    } else if (given !== undefined) folders = [path.resolve(given)];
  }
  if (words[0] === 'workspaces') {
    folders = packages().slice(1).map(([at]) => at);
    words = words.slice(words[1] === 'foreach' ? 2 : 1);
    while (words.length && words[0].startsWith('-')) words = words.slice(1);
    needed = false;
  } else if (words[0] === 'workspace') {
    folders = packages().filter(([, own]) => own.name === words[1]).map(([at]) => at);
    words = words.slice(2);
  }
  if (folders) needed = needed && folders.length === 1;
  if (words[0] === 'run' || words[0] === 'exec' || words[0] === 'run-script') {
    words = words.slice(1);
    while (words.length && words[0].startsWith('-')) {
      if (words[0] === '-r') folders = packages().slice(1).map(([at]) => at);
      words = words.slice(1);
    }
  }
  if (!words.length || ['install', 'add', 'i', 'dlx', 'publish'].includes(words[0])) {
    console.error('Packages are installed already, and there is no network here.');
    return words.length && words[0] !== 'install' && words[0] !== 'i' ? 1 : 0;
  }
  const [name, ...args] = words;
  const rest = args[0] === '--' ? args.slice(1) : args;
  for (const folder of folders || [nearest()]) {
    const status = runIn(folder, name, rest, needed);
    if (status !== 0) return status;
  }
  return 0;
}

process.exit(main(process.argv.slice(2)));
