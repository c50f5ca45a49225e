// A reporter for mocha: writes each test with its file, its titles and its outcome to $PENSTOCK_REPORT, as JSON.
'use strict';
const fs = require('fs');

module.exports = class Reporter {
  constructor(runner) {
    const tests = [];
    const titles = (test) => {
      if (typeof test.titlePath === 'function') return test.titlePath();
      const found = [];
      for (let at = test; at && at.title; at = at.parent) found.unshift(at.title);
      return found;
    };
    const fileOf = (test) => {
      for (let at = test; at; at = at.parent) if (at.file) return at.file;
      return '';
    };
    const add = (test, outcome, error) =>
      tests.push({
        file: fileOf(test),
        names: titles(test),
        outcome,
        ms: test.duration,
        message: error ? String(error.stack || error.message || error).slice(0, 20000) : '',
      });
    let ended = false;
    const write = () => fs.writeFileSync(process.env.PENSTOCK_REPORT, JSON.stringify({ tests, ended }));
    runner.on('pass', (test) => add(test, 'passed'));
    runner.on('fail', (test, error) => add(test, 'failed', error));
    runner.on('pending', (test) => add(test, 'skipped'));
    runner.once('end', () => {
      ended = true;
      write();
    });
    process.once('exit', () => ended || write());
  }
};
