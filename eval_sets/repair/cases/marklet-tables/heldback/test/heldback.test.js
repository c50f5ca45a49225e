'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { toHtml } = require('..');

test('alignment, and cells that are too many', () => {
  assert.equal(toHtml('|a|b|c|\n|:--|--:|-|\n|1|2|3|4|'),
    '<table><tr><th align="left">a</th><th align="right">b</th><th>c</th></tr>'
    + '<tr><td align="left">1</td><td align="right">2</td><td>3</td></tr></table>');
});

test('what is no table', () => {
  assert.equal(toHtml('| a | b |\ntext'), '<p>| a | b |\ntext</p>');
  assert.equal(toHtml('```\n| a |\n|---|\n```'), '<pre>| a |\n|---|</pre>');
  assert.equal(toHtml('| a | b |\n|---|'), '<p>| a | b |\n|---|</p>');
});

test('a table without rows at the end', () => {
  assert.equal(toHtml('x\n\n| `a \\| b` |\n|---|'), '<p>x</p>\n<table><tr><th><code>a | b</code></th></tr></table>');
});
