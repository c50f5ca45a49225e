// Runs the install scripts of packages in a workspace, where node_modules links to the environment:
//   node rebuild.cjs SECONDS
//
// A package is copied to its place in the workspace before its scripts run. The last line of the output is JSON:
// the folders of the packages that changed, and what failed.
'use strict';
const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');

const mount = path.resolve(__dirname, '..');
const until = Date.now() + Number(process.argv[2]) * 1000;
const changed = [];
const failed = [];

// Turns the links on the way to a folder into folders of links, and copies the folder itself.
function materialise(folder) {
  let at = '';
  for (const part of path.dirname(folder).split('/')) {
    at = path.join(at, part);
    if (!fs.lstatSync(at).isSymbolicLink()) continue;
    const real = fs.realpathSync(at);
    if (!real.startsWith(mount)) return false;
    fs.unlinkSync(at);
    fs.mkdirSync(at);
    for (const name of fs.readdirSync(real)) fs.symlinkSync(path.join(real, name), path.join(at, name));
  }
  const real = fs.realpathSync(folder);
  if (real !== path.join(mount, 'tree', folder)) return false;
  fs.unlinkSync(folder);
  fs.cpSync(real, folder, { recursive: true, verbatimSymlinks: true });
  return true;
}

function state(folder, prefix, found) {
  for (const entry of fs.readdirSync(path.join(folder, prefix), { withFileTypes: true })) {
    const name = path.join(prefix, entry.name);
    if (entry.isDirectory()) state(folder, name, found);
    else {
      const stat = fs.lstatSync(path.join(folder, name));
      found.set(name, `${stat.size} ${stat.mtimeMs} ${stat.mode} ${stat.ino}`);
    }
  }
  return found;
}

function differs(one, other) {
  return one.size !== other.size || [...one].some(([name, text]) => other.get(name) !== text);
}

function bins(folder) {
  const found = [];
  for (let at = path.resolve(folder); at !== path.dirname(at); at = path.dirname(at)) {
    if (fs.existsSync(path.join(at, 'node_modules/.bin'))) found.push(path.join(at, 'node_modules/.bin'));
  }
  return found;
}

function nodeGyp() {
  const npm = spawnSync('npm', ['--version'], { encoding: 'utf8' });
  const real = npm.status === 0 ? fs.realpathSync(spawnSync('which', ['npm'], { encoding: 'utf8' }).stdout.trim()) : '';
  const beside = path.join(path.dirname(real), 'node-gyp-bin');
  return [beside, path.join(path.dirname(path.dirname(real)), 'node_modules/node-gyp/bin')].filter((at) => fs.existsSync(at));
}

const gyp = nodeGyp();

function run(folder) {
  const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
  const scripts = { ...manifest.scripts };
  if (!scripts.install && !scripts.preinstall && fs.existsSync(path.join(folder, 'binding.gyp'))) {
    scripts.install = 'node-gyp rebuild';
  }
  for (const name of ['preinstall', 'install', 'postinstall']) {
    if (!scripts[name]) continue;
    const done = spawnSync('/bin/sh', ['-c', scripts[name]], {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 1 << 26,
      timeout: Math.max(1000, until - Date.now()),
      env: {
        ...process.env,
        PATH: [...bins(folder), ...gyp, process.env.PATH].join(':'),
        INIT_CWD: process.cwd(),
        npm_lifecycle_event: name,
        npm_package_name: manifest.name,
        npm_package_version: manifest.version,
        npm_execpath: '',
        npm_node_execpath: process.execPath,
        npm_config_node_gyp: gyp.map((at) => path.join(at, 'node-gyp.js')).find((at) => fs.existsSync(at)) || '',
        npm_config_user_agent: `npm/10.0.0 node/${process.version} linux ${process.arch}`,
      },
    });
    const said = `${done.stdout || ''}\n${done.stderr || ''}`.trim();
    console.log(`# ${folder}: ${name}: ${scripts[name]} (${done.status})\n${said.slice(-1500)}`);
    if (done.status !== 0) return said.split('\n').slice(-3).join(' ').slice(-300) || String(done.error || done.signal);
  }
  fs.rmSync(path.join(folder, 'build/node_gyp_bins'), { recursive: true, force: true });
  fs.rmSync(path.join(folder, 'build/Release/obj.target'), { recursive: true, force: true });
  fs.rmSync(path.join(folder, 'build/Release/.deps'), { recursive: true, force: true });
  return '';
}

for (const folder of JSON.parse(fs.readFileSync(path.join(__dirname, 'scripted.json'), 'utf8'))) {
  if (Date.now() > until) {
    failed.push([folder, 'no time was left']);
    continue;
  }
  try {
    if (!materialise(folder)) continue;
    const before = state(folder, '', new Map());
    const why = run(folder);
    if (why) failed.push([folder, why]);
    else if (differs(before, state(folder, '', new Map()))) changed.push(folder);
  } catch (error) {
    failed.push([folder, String(error).slice(0, 300)]);
  }
}
console.log(JSON.stringify({ changed, failed: failed.slice(0, 20) }));
