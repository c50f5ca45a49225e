'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { toHtml } = require('..');

test('blocks', () => {
  const source = '# Title #\n\nOne\ntwo\n- a\n- b\n1. c\n\n```js\n# no < heading\n```\nend';
  assert.equal(toHtml(source), [
    '<h1 id="title">Title</h1>', '<p>One\ntwo</p>', '<ul><li>a</li><li>b</li></ul>', '<ol><li>c</li></ol>',
    '<pre># no &lt; heading</pre>', '<p>end</p>',
  ].join('\n'));
});

test('marks', () => {
  assert.equal(toHtml('**a *b* c** and `x < y`'), '<p><b>a <i>b</i> c</b> and <code>x &lt; y</code></p>');
  assert.equal(toHtml('2 \\* 3 \\* 4'), '<p>2 * 3 * 4</p>');
});

test('letters of HTML', () => {
  assert.equal(toHtml('a < b & c'), '<p>a &lt; b &amp; c</p>');
  assert.equal(toHtml('say "hi"'), '<p>say &quot;hi&quot;</p>');
  assert.equal(toHtml('[R&D](/r?a=1&b=2)'), '<p><a href="/r?a=1&amp;b=2">R&amp;D</a></p>');
});

test('links', () => {
  assert.equal(toHtml('[a](https://x.example)'), '<p><a href="https://x.example">a</a></p>');
  assert.equal(toHtml('[a](javascript:alert)'), '<p>[a](javascript:alert)</p>');
});

test('several mail addresses', () => {
  const html = toHtml('[a](mailto:a@x.example) [b](mailto:b@x.example)\n[c](mailto:c@x.example)');
  assert.equal(html.match(/<a /g).length, 3);
});

test('long lists', () => {
  assert.equal(toHtml('- 1\n- 2\n- 3'), '<ul><li>1</li><li>2</li><li>3</li></ul>');
});
