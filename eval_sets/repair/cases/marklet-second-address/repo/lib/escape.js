'use strict';

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** A text as it is put into HTML, also between quotes. */
function escapeHtml(text) {
  return text.replace(/[&<>"]/g, (letter) => ENTITIES[letter]);
}

module.exports = { escapeHtml };
