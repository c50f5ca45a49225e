'use strict';

const { plain } = require('./inline');

const HEADING = /^(#{1,6}) +(.+?) *#*$/;

/** The headings of a source as { level, text, slug }, without those in code. */
function outline(source) {
  const found = [];
  const name = slugs();
  let inCode = false;
  for (const line of source.split('\n')) {
    if (line.startsWith('```')) inCode = !inCode;
    const match = inCode ? null : HEADING.exec(line);
    if (match) {
      const text = plain(match[2]);
      found.push({ level: match[1].length, text, slug: name(text) });
    }
  }
  return found;
}

/** A function that makes names for headings, each of its own: `intro`, `intro-1`, `intro-2`. */
function slugs() {
  const taken = new Set();
  return (text) => {
    const base = text.toLowerCase().replace(/[^\p{Letter}\p{Number}]+/gu, '-').replace(/^-|-$/g, '') || 'section';
    let slug = base;
    for (let number = 1; taken.has(slug); number += 1) slug = `${base}-${number}`;
    taken.add(slug);
    return slug;
  };
}

module.exports = { HEADING, outline, slugs };
