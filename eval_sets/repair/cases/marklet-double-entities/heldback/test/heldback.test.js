'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { checkLinks, outline, slugs, toHtml } = require('..');

test('any text of HTML is shown as it is', () => {
  for (const text of ['&amp;', '<<>>', '"&"', 'a &lt; b', '&', '<a href="x">', '&&&', '>"<']) {
    const html = toHtml(`x ${text}`);
    const shown = html.slice(3, -4).replaceAll('&quot;', '"').replaceAll('&gt;', '>').replaceAll('&lt;', '<').replaceAll('&amp;', '&');
    assert.equal(shown, `x ${text}`);
    assert.ok(!/[<>"]/.test(html.slice(3, -4)), html);
    assert.equal(toHtml(`\`${text}\``).slice(9, -11), html.slice(5, -4));
    assert.equal(toHtml('```\n' + `x ${text}` + '\n```').slice(5, -6), html.slice(3, -4));
  }
});

test('each link is judged for itself', () => {
  for (const [target, safe] of [
    ['https://a.example', true], ['HTTP://a.example', true], ['mailto:a@b', true], ['/x', true], ['#y', true],
    ['javascript:x', false], ['JavaScript:x', false], ['data:x', false], ['ftp://a', false], ['a/b:c', true],
  ]) {
    for (let count = 1; count < 6; count += 1) {
      const html = toHtml(Array(count).fill(`[t](${target})`).join(' '));
      assert.equal((html.match(/<a /g) ?? []).length, safe ? count : 0, `${count} of ${target}`);
    }
  }
  const mixed = toHtml('[a](mailto:a) [b](data:b) [c](mailto:c) [d](/d) [e](https://e) [f](x:f)');
  assert.deepEqual(mixed.match(/<a href="[^"]+"/g), ['<a href="mailto:a"', '<a href="mailto:c"', '<a href="/d"', '<a href="https://e"']);
});

test('every dead link of every line', () => {
  const lines = Array.from({ length: 7 }, (_, n) => `[a](/p${n}) [b](https://x) [c](/q${n}) [d](/p${n}#s) [e](mailto:m)`);
  const pages = Array.from({ length: 7 }, (_, n) => `/p${n}`);
  assert.deepEqual(checkLinks(lines.join('\n'), pages), pages.map((_, n) => ({ line: n + 1, title: 'c', target: `/q${n}` })));
  assert.equal(checkLinks(lines.join('\n'), []).length, 21);
});

test('lists and paragraphs of any length', () => {
  for (let n = 1; n < 8; n += 1) {
    const bullets = toHtml(Array(n).fill('* x').join('\n'));
    assert.equal(bullets, `<ul>${'<li>x</li>'.repeat(n)}</ul>`);
    const numbers = toHtml(`p\n${Array(n).fill('3) x').join('\n')}\n- y`);
    assert.equal(numbers, `<p>p</p>\n<ol>${'<li>x</li>'.repeat(n)}</ol>\n<ul><li>y</li></ul>`);
  }
});

test('headings', () => {
  assert.deepEqual(outline('#no\n####### no\n## *a* [b](/c) \\*'), [{ level: 2, text: 'a b *', slug: 'a-b' }]);
  const name = slugs();
  assert.deepEqual(['a', 'a 1', 'a', 'A'].map(name), ['a', 'a-1', 'a-2', 'a-3']);
});
