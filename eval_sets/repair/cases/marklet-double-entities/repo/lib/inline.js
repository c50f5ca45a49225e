'use strict';

const { escapeHtml } = require('./escape');
const { isSafe } = require('./links');

const TOKEN = /\\([\\`*_[\]])|`([^`]+)`|\*\*(.+?)\*\*|\*(.+?)\*|\[([^\]]+)\]\(([^)\s]+)\)/g;

/** The inside of a paragraph as HTML: code, bold, italics and links. A backslash takes a mark its meaning. */
function inline(text) {
  let html = '';
  let at = 0;
  for (const match of text.matchAll(TOKEN)) {
    html += escapeHtml(text.slice(at, match.index)) + element(match);
    at = match.index + match[0].length;
  }
  return html + escapeHtml(text.slice(at));
}

function element([whole, mark, code, bold, italics, title, target]) {
  if (mark !== undefined) return escapeHtml(mark);
  if (code !== undefined) return `<code>${escapeHtml(code)}</code>`;
  if (bold !== undefined) return `<b>${inline(bold)}</b>`;
  if (italics !== undefined) return `<i>${inline(italics)}</i>`;
  if (!isSafe(target)) return escapeHtml(whole);
  return `<a href="${escapeHtml(target)}">${inline(title)}</a>`;
}

/** The text alone, without marks. */
function plain(text) {
  return text.replace(TOKEN, (whole, mark, code, bold, italics, title) =>
    mark ?? code ?? plain(bold ?? italics ?? title));
}

module.exports = { inline, plain };
