// Files that messages mention: found in what a person writes as `path:line` or `path:from-to`, and shown with their lines.

import { element } from "./dom.mjs";
import { call } from "./session.mjs";

export const MOST_MENTIONS = 50; // of a message
const PLACE = /(?<![\w/.:@-])((?:[\w.@+-]+\/)*[\w.@+-]*\.[A-Za-z]\w{0,9}):(\d{1,7})(?:-(\d{1,7}))?(?![\w:])/g;

/** What a message's body says of the files that its text mentions. The server adds source and commit. */
export function mentionsIn(text) {
  const found = new Map();
  for (const [, path, first, last] of text.matchAll(PLACE)) {
    const from = Number(first);
    const to = Number(last ?? first);
    if (path.length <= 1000 && from >= 1 && to >= from) found.set(`${path}:${from}-${to}`, { path, lines: [from, to] });
  }
  return [...found.values()].slice(0, MOST_MENTIONS);
}

/** One line for each file, which opens to show the lines if the index knows the file. */
export function mentions(one) {
  return (one.body?.mentions ?? []).map((mention) => {
    const { path, source, commit, lines } = mention;
    const place = `${path}${lines ? `:${lines[0]}${lines[1] === lines[0] ? "" : `-${lines[1]}`}` : ""}`;
    if (!source || !commit) return element("p", { className: "mention" }, element("code", { textContent: place }));
    const code = element("pre", { className: "snippet", textContent: "…" });
    const opened = element("details", { className: "mention" },
      element("summary", {}, element("code", { textContent: place }), element("span", { className: "soft", textContent: ` ${source} at ${commit.slice(0, 8)}` })), code);
    opened.addEventListener("toggle", () => read(mention, code), { once: true });
    return opened;
  });
}

async function read({ path, source, commit, lines }, code) {
  const query = new URLSearchParams({ source, path, commit });
  if (lines) for (const [name, value] of [["first", lines[0]], ["last", lines[1]]]) query.set(name, String(value));
  try {
    const response = await call("GET", `/file-lines?${query}`);
    const found = await response.json();
    code.textContent = response.ok ? found.lines.map((line, index) => `${String(found.first + index).padStart(5)}  ${line}`).join("\n") : found.error;
  } catch {
    code.textContent = "This needs a connection.";
  }
}
