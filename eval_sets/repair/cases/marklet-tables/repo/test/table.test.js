'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { toHtml } = require('..');

test('a table', () => {
  const html = toHtml('before\n| a | *b* |\n|---|:-:|\n| 1 | x \\| y |\n| 2 |\nafter');
  assert.equal(html, [
    '<p>before</p>',
    '<table><tr><th>a</th><th align="center"><i>b</i></th></tr>'
      + '<tr><td>1</td><td align="center">x | y</td></tr><tr><td>2</td><td align="center"></td></tr></table>',
    '<p>after</p>',
  ].join('\n'));
});
