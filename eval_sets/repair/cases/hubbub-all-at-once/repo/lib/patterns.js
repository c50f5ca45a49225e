// Patterns of names: `*` stands for one part, `**` at the end for one or more. Parts are divided by dots.

const SPECIAL = /[\\^$.|?+()[\]{}*]/g;

/** A function that says whether a name fits. */
export function matcher(pattern) {
  if (typeof pattern !== 'string' || pattern === '') throw new TypeError('a pattern is a text');
  const parts = pattern.split('.');
  const source = parts.map((part, at) => {
    if (part === '**' && at === parts.length - 1) return '.+';
    if (part === '*') return '[^.]+';
    return part.replace(SPECIAL, '\\$&');
  });
  const expression = new RegExp(`^${source.join('\\.')}$`);
  return (name) => expression.test(name);
}
