'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { checkLinks, outline, slugs, toHtml } = require('..');

test('an outline', () => {
  assert.deepEqual(outline('# A `b`\n```\n# c\n```\n### Über uns\n'), [
    { level: 1, text: 'A b', slug: 'a-b' }, { level: 3, text: 'Über uns', slug: 'über-uns' },
  ]);
});

test('names of headings', () => {
  const name = slugs();
  assert.deepEqual(['Intro', 'Intro', 'intro!', '???'].map(name), ['intro', 'intro-1', 'intro-2', 'section']);
  assert.ok(toHtml('# A\n# A').includes('id="a-1"'));
});

test('dead links', () => {
  const source = 'See [x](/x) and\n[y](/y#z), [z](https://z.example), [top](#top)';
  assert.deepEqual(checkLinks(source, ['/x']), [{ line: 2, title: 'y', target: '/y#z' }]);
  assert.deepEqual(checkLinks(source, ['/x', '/y']), []);
});
