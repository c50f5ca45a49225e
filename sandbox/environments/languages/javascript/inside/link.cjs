// Makes the environment's packages usable in a workspace: node link.cjs [FOLDER]
//
// Each node_modules is a real folder, so that tools can write their caches there; its entries are links into the
// environment, which is read-only. Links of the workspace that are there already are replaced.
'use strict';
const fs = require('fs');
const path = require('path');

const mount = path.resolve(__dirname, '..');
const workspace = process.argv[2] || process.cwd();

function place(from, to) {
  try {
    fs.symlinkSync(from, to);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    fs.rmSync(to, { recursive: true, force: true });
    fs.symlinkSync(from, to);
  }
}

function link(from, to) {
  if (fs.existsSync(to) && fs.lstatSync(to).isSymbolicLink()) fs.unlinkSync(to);
  fs.mkdirSync(to, { recursive: true });
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    if (entry.name.startsWith('@') && entry.isDirectory()) link(path.join(from, entry.name), path.join(to, entry.name));
    else place(path.join(from, entry.name), path.join(to, entry.name));
  }
}

for (const folder of JSON.parse(fs.readFileSync(path.join(__dirname, 'folders.json'), 'utf8'))) {
  link(path.join(mount, 'tree', folder), path.join(workspace, folder));
}
