'use strict';

const { escapeHtml } = require('./escape');
const { inline, plain } = require('./inline');
const { HEADING, slugs } = require('./outline');

const BULLET = /^[-*] +(.*)$/;
const NUMBER = /^\d+[.)] +(.*)$/;

/** A source as HTML. */
function toHtml(source) {
  const lines = source.replace(/\r\n?/g, '\n').split('\n');
  const name = slugs();
  const html = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const heading = HEADING.exec(line);
    if (line.trim() === '') {
      at += 1;
    } else if (line.startsWith('```')) {
      let end = at + 1;
      while (end < lines.length && !lines[end].startsWith('```')) end += 1;
      html.push(`<pre>${escapeHtml(lines.slice(at + 1, end).join('\n'))}</pre>`);
      at = end + 1;
    } else if (heading) {
      const level = heading[1].length;
      html.push(`<h${level} id="${name(plain(heading[2]))}">${inline(heading[2])}</h${level}>`);
      at += 1;
    } else if (BULLET.test(line) || NUMBER.test(line)) {
      const [kind, tag] = BULLET.test(line) ? [BULLET, 'ul'] : [NUMBER, 'ol'];
      const items = [];
      for (; at < lines.length && kind.test(lines[at]); at += 1) items.push(inline(kind.exec(lines[at])[1]));
      html.push(`<${tag}>${items.map((item) => `<li>${item}</li>`).join('')}</${tag}>`);
    } else {
      const text = [];
      while (at < lines.length && !startsBlock(lines[at])) {
        text.push(lines[at].trim());
        at += 1;
      }
      html.push(`<p>${inline(text.join('\n'))}</p>`);
    }
  }
  return html.join('\n');
}

function startsBlock(line) {
  return line.trim() === '' || line.startsWith('```') || HEADING.test(line) || BULLET.test(line) || NUMBER.test(line);
}

module.exports = { toHtml };
