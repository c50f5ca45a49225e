// Elements from data: text is set as text, never as markup.

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

export function ago(at, now = Date.now()) {
  const past = Math.max(0, (now - new Date(at)) / 1000);
  for (const [size, unit] of [[86_400, "d"], [3600, "h"], [60, "min"]]) {
    if (past >= size) return `${Math.floor(past / size)} ${unit} ago`;
  }
  return "just now";
}
