// Builds where that is needed, and runs tests: node run.cjs JSON, in the folder of the package.
//
// {builds: [[folder, command]], command: [word], variables: {}, report: path, result: path, bins: [folder], each: [pattern]}
// The builds run when a file of the workspace has changed since they last ran. How they ended is written to `result`.
'use strict';
const fs = require('fs');
const path = require('path');
const crypto = require('crypto');
const { spawnSync } = require('child_process');

const given = JSON.parse(process.argv[2]);
const workspace = process.env.PENSTOCK_WORKSPACE || '/workspace';
const scratch = path.join(workspace, '.penstock');
const LEFT_OUT = new Set(['.git', 'node_modules', '.penstock', '.cache', 'coverage', '.nyc_output']);

fs.mkdirSync(path.dirname(given.result), { recursive: true });
const manifest = fs.existsSync('package.json') ? JSON.parse(fs.readFileSync('package.json', 'utf8')) : {};
const environment = {
  ...process.env,
  ...given.variables,
  PATH: [...given.bins, process.env.PATH].join(':'),
  INIT_CWD: process.cwd(),
  npm_package_name: manifest.name || '',
  npm_package_version: manifest.version || '',
  npm_lifecycle_event: 'test',
  PENSTOCK_REPORT: given.report,
};

function digest() {
  const hash = crypto.createHash('sha1');
  const stack = [workspace];
  while (stack.length) {
    const at = stack.pop();
    for (const entry of fs.readdirSync(at, { withFileTypes: true })) {
      if (LEFT_OUT.has(entry.name)) continue;
      const name = path.join(at, entry.name);
      if (entry.isDirectory()) stack.push(name);
      else {
        const stat = fs.lstatSync(name);
        hash.update(`${name} ${stat.size} ${stat.mtimeMs}\n`);
      }
    }
  }
  return hash.digest('hex');
}

function build() {
  const kept = path.join(scratch, `built-${crypto.createHash('sha1').update(JSON.stringify(given.builds)).digest('hex').slice(0, 12)}.json`);
  try {
    const known = JSON.parse(fs.readFileSync(kept, 'utf8'));
    if (known.digest === digest()) return known.built;
  } catch {
    // It has not been built in this workspace.
  }
  let built = { ok: true, said: '' };
  for (const [folder, command] of given.builds) {
    const at = path.join(workspace, folder);
    const bins = [path.join(at, 'node_modules/.bin'), environment.PATH].join(':');
    const done = spawnSync('/bin/sh', ['-c', command], {
      cwd: at,
      encoding: 'utf8',
      maxBuffer: 1 << 26,
      env: { ...environment, PATH: bins, npm_lifecycle_event: 'build' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said = `${done.stdout || ''}\n${done.stderr || ''}`.trim();
    process.stdout.write(`# ${command}\n${said.slice(-4000)}\n`);
    if (done.status !== 0) {
      built = { ok: false, said: `${command} (${done.status ?? done.signal}): ${said.slice(-3500)}` };
      break;
    }
  }
  fs.writeFileSync(kept, JSON.stringify({ digest: digest(), built }));
  return built;
}

// What the shell or the runner would make of patterns: Node.js before 21 expands none.
function expanded(words) {
  return words.flatMap((word) => {
    if (word.startsWith('-') || !/[*{?]/.test(word)) return [word];
    const pattern = regex(word);
    const found = [];
    const start = word.split('/').findIndex((part) => /[*{?]/.test(part));
    const base = word.split('/').slice(0, start).join('/') || '.';
    walk(base, (file) => pattern.test(path.normalize(file)) && found.push(file));
    return found.length ? found.sort() : [word];
  });
}

function walk(folder, visit) {
  let entries = [];
  try {
    entries = fs.readdirSync(folder, { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of entries) {
    if (LEFT_OUT.has(entry.name)) continue;
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) walk(name, visit);
    else visit(name);
  }
}

function regex(word) {
  let text = '';
  let depth = 0;
  const glob = path.normalize(word);
  for (let i = 0; i < glob.length; i++) {
    const char = glob[i];
    if (glob.startsWith('**/', i)) {
      text += '(?:[^/]+/)*';
      i += 2;
    } else if (char === '*') text += '[^/]*';
    else if (/[?+@]/.test(char) && glob[i + 1] === '(') {
      const end = glob.indexOf(')', i);
      text += `(?:${glob.slice(i + 2, end)})${char === '?' ? '?' : ''}`;
      i = end;
    } else if (char === '?') text += '[^/]';
    else if (char === '{') {
      text += '(?:';
      depth++;
    } else if (char === '}' && depth) {
      text += ')';
      depth--;
    } else if (char === ',' && depth) text += '|';
    else text += char.replace(/[.+^$()|[\]\\]/, '\\$&');
  }
  return new RegExp(`^${text}$`);
}

const built = given.builds.length ? build() : { ok: true, said: '' };
fs.writeFileSync(given.result, JSON.stringify({ built: given.builds.length ? built : null }));
if (given.each) {
  // Runners whose reports do not name files: one process for each, between two lines that say so.
  let worst = 0;
  for (const file of expanded(given.each)) {
    process.stdout.write(`\n# penstock-file: ${path.normalize(file)}\n`);
    const one = spawnSync(given.command[0], [...given.command.slice(1), file], { stdio: ['ignore', 'pipe', 'pipe'], env: environment, maxBuffer: 1 << 26 });
    process.stdout.write(`${one.stdout}\n${one.stderr}\n# penstock-ended: ${one.status ?? one.signal}\n`);
    worst = worst || (one.status ?? 1);
  }
  process.exit(worst);
}
const words = given.glob ? expanded(given.command) : given.command;
const done = spawnSync(words[0], words.slice(1), { stdio: ['ignore', 'inherit', 'inherit'], env: environment });
const summary = { built: given.builds.length ? built : null, status: done.status, error: done.error ? String(done.error) : '' };
fs.writeFileSync(given.result, JSON.stringify(summary));
process.exit(done.status ?? 1);
