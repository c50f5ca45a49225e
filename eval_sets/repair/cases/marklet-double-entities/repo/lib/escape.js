'use strict';

const ENTITIES = { '<': '&lt;', '>': '&gt;', '"': '&quot;', '&': '&amp;' };

/** A text as it is put into HTML, also between quotes. */
function escapeHtml(text) {
  let html = text;
  for (const [letter, entity] of Object.entries(ENTITIES)) html = html.replaceAll(letter, entity);
  return html;
}

module.exports = { escapeHtml };
