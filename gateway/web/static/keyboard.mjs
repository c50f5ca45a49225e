// The pages by keyboard. Nothing happens while somebody types, or with Ctrl, Alt or Meta.

export function listen() {
  const help = document.getElementById("help");
  const button = document.getElementById("keys");
  if (button && help) {
    button.hidden = false;
    button.addEventListener("click", () => help.showModal());
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, textarea, select");
    if (event.key === "Escape" && typing) event.target.blur();
    if (typing || event.ctrlKey || event.metaKey || event.altKey || help?.open) return;
    const act = KEYS[event.key];
    if (act && act(event) !== false) event.preventDefault();
  });
}

const KEYS = {
  "?": () => document.getElementById("help")?.showModal(),
  "/": () => focus("#q"),
  j: () => step(1),
  k: () => step(-1),
  o: () => (document.activeElement.matches("a.row") ? document.activeElement.click() : false),
  t: () => { location.href = "/web"; },
  m: () => focus("#say"),
  a: () => focus('form[data-act="approve"] button'),
  r: () => focus('form[data-act="retry"] button'),
  x: () => focus('form[data-act="cancel"] button'),
  e: () => openAll(),
};

function focus(selector) {
  const found = document.querySelector(selector);
  if (!found || found.closest("[hidden]")) return false;
  found.focus();
  found.scrollIntoView({ block: "nearest" });
  return true;
}

/** To the next row of a list, or the next section of a task. */
function step(by) {
  const rows = [...document.querySelectorAll("a.row")];
  if (rows.length) {
    const at = rows.indexOf(document.activeElement);
    rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by))].focus();
    return true;
  }
  const sections = [...document.querySelectorAll(".story section.card")];
  if (!sections.length) return false;
  const tops = sections.map((one) => one.getBoundingClientRect().top);
  const at = by > 0 ? tops.findIndex((top) => top > 90) : tops.findLastIndex((top) => top < 60);
  if (at >= 0) sections[at].scrollIntoView();
  return true;
}

function openAll() {
  const all = [...document.querySelectorAll(".story details")];
  const open = all.some((one) => !one.open);
  for (const one of all) one.open = open;
}
