'use strict';

const LINK = /\[([^\]]+)\]\(([^)\s]+)\)/g;
const SCHEME = /^[a-z][a-z0-9+.-]*:/i;
const ALLOWED = /^(https?|mailto):/gi;

/** Whether a link may be shown as one: a place of this site, or with a scheme that is allowed. */
function isSafe(target) {
  return !SCHEME.test(target) || ALLOWED.test(target);
}

/** Links to places that do not exist, as { line, title, target }. `pages` are the paths of this site; others are not
 *  looked at. */
function checkLinks(source, pages) {
  const known = new Set(pages);
  const found = [];
  source.split('\n').forEach((text, at) => {
    for (const [, title, target] of text.matchAll(LINK)) {
      if (SCHEME.test(target) || target.startsWith('#')) continue;
      if (!known.has(target.split('#')[0])) found.push({ line: at + 1, title, target });
    }
  });
  return found;
}

module.exports = { checkLinks, isSafe };
