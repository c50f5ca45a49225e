// The rows of a thread: a message with its attachments, mentions, versions beside it, and what can be done with it.

import { attachments } from "./attach.mjs";
import { ago, element } from "./dom.mjs";
import { mentions } from "./mentions.mjs";

/** Steps of an attempt that follow each other: one row, which opens. */
export function stepsRow(key, steps, list) {
  const item = element("li", { className: "message info steps-of" });
  item.dataset.key = key;
  const lines = element("ol", {}, ...steps.map((one) => element("li", { textContent: one.text })));
  const label = steps.length === 1 ? steps[0].text : `${steps.length} steps, the last: ${steps.at(-1).text}`;
  const opened = [...list.children].some((other) => other.dataset.key?.startsWith(`${steps[0].id}:`) && other.querySelector("details")?.open);
  item.append(steps.length === 1 ? element("p", { textContent: label }) : element("details", { open: opened }, element("summary", { textContent: label }), lines));
  return item;
}

/** `acts`: who `me` is, and what the buttons do (`add`, `edit`, `writeAgain`, `dismiss`). */
export function messageRow(key, one, known, acts) {
  const agent = ["assistant", "tool_use", "tool_result"].includes(one.role);
  const item = element("li", { className: `message ${agent ? "agent" : ""} ${one.role === "info" ? "info" : ""} ${one.pending ? "pending" : ""} ${one.dead ? "lost" : ""}` });
  item.dataset.key = key;
  const name = agent ? "Penstock" : one.author || acts.me;
  if (one.role !== "info") item.append(element("span", { className: "face", textContent: name.replace(/^(token|user):? ?/, "").slice(0, 1).toUpperCase(), ariaHidden: "true" }));
  const inside = element("div");
  if (one.role !== "info") inside.append(byline(one, name));
  inside.append(one.deleted ? element("p", { className: "gone", textContent: "deleted" }) : content(one));
  if (!one.deleted && known.id) inside.append(...attachments(known.id, one), ...mentions(one));
  inside.append(...versions(one, known, acts), ...buttons(one, known, acts));
  item.append(inside);
  return item;
}

function byline(one, name) {
  const by = element("div", { className: "by" }, element("b", { textContent: name }));
  if (one.at) by.append(element("time", { dateTime: one.at, title: one.at, textContent: ago(one.at) }));
  if (one.pending) by.append(element("span", { className: "mark", textContent: "not sent yet" }));
  if (one.dead) by.append(element("span", { className: "mark", textContent: `not accepted: ${one.why}` }));
  return by;
}

function content(one) {
  const text = element("div", { className: "text", textContent: one.text });
  if (one.role === "tool_use" || one.role === "tool_result") {
    const name = one.body?.tool?.name ?? (one.role === "tool_use" ? "a tool" : "its result");
    return element("details", {}, element("summary", { textContent: one.body?.error ? `${name}: failed` : name }), text);
  }
  return text;
}

/** What others wrote at the same time, and, for whoever may, which of the texts is to stand. */
function versions(one, known, acts) {
  const beside = one.siblings ?? [];
  const may = writes(known) && !one.pending && !one.deleted;
  const choose = (label, text) => button(label, () =>
    acts.add({ kind: "edit", message: one.id, text, base: one.revision, resolves: beside.map((other) => other.seq) }));
  const rows = beside.map((other) => element("div", { className: "sibling" },
    element("p", { className: "soft", textContent: `${other.author} wrote at the same time:` }),
    element("p", { className: "text", textContent: other.text }),
    ...(may ? [small(choose("Use this text", other.text))] : [])));
  if (rows.length && may) rows.push(small(choose("Keep the text above", one.text)));
  return rows;
}

function buttons(one, known, acts) {
  if (one.dead) {
    const drop = button("Dismiss", () => acts.dismiss(one));
    return [small(...(one.text ? [button("Write again", () => acts.writeAgain(one))] : []), drop)];
  }
  const may = writes(known) && one.role === "user" && !one.deleted && !one.pending && one.seq !== null;
  if (!may || one.author !== acts.me) return [];
  return [small(button("Edit", () => acts.edit(one)), button("Delete", () => acts.add({ kind: "delete", message: one.id })))];
}

const writes = (known) => ["writer", "owner"].includes(known.role);
const small = (...inside) => element("div", { className: "acts-small" }, ...inside);

function button(label, act) {
  const made = element("button", { type: "button", textContent: label });
  made.addEventListener("click", act);
  return made;
}
