// The thread on a task's page: shows what is confirmed and what is still to be sent, and writes. Of several tabs one
// talks to the server; the others hear from it.

import { emptyThread, shown, uuid7 } from "./replica.mjs";
import { call, locked, owner, renew } from "./session.mjs";
import { Full, Store } from "./store.mjs";
import { Sync } from "./sync.mjs";
import { describeNet } from "./net.mjs";
import { ago, element } from "./dom.mjs";

const BYTES = 256 * 1024;
const me = owner.slice(owner.indexOf(" ") + 1);

export async function startThread(section) {
  const list = section.querySelector("#messages");
  const composer = section.querySelector("#composer");
  const box = section.querySelector("#say");
  const note = section.querySelector("#say-note");
  const status = section.querySelector("#thread-state");
  const older = section.querySelector("#older");
  const task = section.dataset.threadOf;
  let before = []; // older messages than those that are kept, as long as the page is open
  const store = await Store.open(owner);
  const channel = new BroadcastChannel("penstock-threads");
  let thread = await store.threadOf(task);

  const sync = new Sync(store, {
    call, renew,
    told(what) {
      if (what === "changed") {
        channel.postMessage("changed");
        show();
      } else {
        describeNet(what);
      }
    },
  });
  channel.onmessage = ({ data }) => (data === "nudge" ? sync.nudge() : show());
  addEventListener("online", () => sync.nudge());
  addEventListener("pagehide", () => sync.stop());

  let showing = null;
  function show() {
    showing ??= Promise.resolve().then(async () => {
      showing = null;
      const [copy, { pending, dead }] = await Promise.all([thread ? store.thread(thread) : undefined, store.read()]);
      const known = copy ?? emptyThread(thread ?? "");
      const mine = pending.filter((one) => one.thread === thread);
      const first = known.messages[0]?.seq ?? 0;
      older.hidden = !copy || first <= 2 || before[0]?.seq <= 2 || before.end;
      render([...before.filter((one) => one.seq < first), ...shown(known, mine)], dead.filter((one) => one.thread === thread), known);
      composer.hidden = !thread || (copy && copy.role === "reader");
      const waiting = mine.filter((one) => one.seq === undefined).length;
      status.textContent = waiting ? `${waiting} to send` : copy ? "" : thread ? "loading" : "";
    });
  }

  function render(messages, dead, known) {
    const stays = new Map([...list.children].map((item) => [item.dataset.key, item]));
    const rows = [];
    for (const one of messages) {
      if (one.id === section.dataset.request) continue; // the issue, which stands above
      if (one.body?.entry && !one.deleted) { // steps of an attempt that follow each other are one row, which opens
        const last = rows.at(-1);
        if (last?.steps) {
          last.steps.push(one);
          last.key = `${last.steps[0].id}:${last.steps.length}`;
        } else {
          rows.push({ key: `${one.id}:1`, steps: [one], one });
        }
      } else {
        rows.push({ key: `${one.id}:${one.revision}:${one.pending ? 1 : 0}:${one.deleted ? 1 : 0}:${one.siblings.length}`, one });
      }
    }
    for (const one of dead) rows.push({ key: `dead:${one.id}`, one: { ...one, author: me, dead: true } });
    const atEnd = innerHeight + scrollY > document.body.scrollHeight - 200;
    list.replaceChildren(...rows.map(({ key, one, steps }) => stays.get(key) ?? (steps ? stepsRow(key, steps, list) : row(key, one, known))));
    if (!rows.length) list.replaceChildren(element("li", { className: "soft", textContent: thread ? "Nothing was said yet." : "" }));
    if (atEnd && document.activeElement === box) composer.scrollIntoView({ block: "end" });
  }

  function stepsRow(key, steps, before) {
    const item = element("li", { className: "message info steps-of" });
    item.dataset.key = key;
    const lines = element("ol", {}, ...steps.map((one) => element("li", { textContent: one.text })));
    const label = steps.length === 1 ? steps[0].text : `${steps.length} steps, the last: ${steps.at(-1).text}`;
    const opened = [...before.children].some((other) => other.dataset.key?.startsWith(`${steps[0].id}:`) && other.querySelector("details")?.open);
    item.append(steps.length === 1 ? element("p", { textContent: label }) : element("details", { open: opened }, element("summary", { textContent: label }), lines));
    return item;
  }

  function row(key, one, known) {
    const agent = ["assistant", "tool_use", "tool_result"].includes(one.role);
    const item = element("li", { className: `message ${agent ? "agent" : ""} ${one.role === "info" ? "info" : ""} ${one.pending ? "pending" : ""} ${one.dead ? "lost" : ""}` });
    item.dataset.key = key;
    const name = agent ? "Penstock" : one.author || me;
    if (one.role !== "info") item.append(element("span", { className: "face", textContent: name.replace(/^(token|user):? ?/, "").slice(0, 1).toUpperCase(), ariaHidden: "true" }));
    const inside = element("div");
    if (one.role !== "info") {
      const by = element("div", { className: "by" }, element("b", { textContent: name }));
      if (one.at) by.append(element("time", { dateTime: one.at, title: one.at, textContent: ago(one.at) }));
      if (one.pending) by.append(element("span", { className: "mark", textContent: "not sent yet" }));
      if (one.dead) by.append(element("span", { className: "mark", textContent: `not accepted: ${one.why}` }));
      inside.append(by);
    }
    inside.append(one.deleted ? element("p", { className: "gone", textContent: "deleted" }) : content(one));
    for (const other of one.siblings ?? []) {
      inside.append(element("div", { className: "sibling" },
        element("p", { className: "soft", textContent: `${other.author} wrote at the same time:` }),
        element("p", { className: "text", textContent: other.text })));
    }
    inside.append(...buttons(one, known));
    item.append(inside);
    return item;
  }

  function content(one) {
    const text = element("div", { className: "text", textContent: one.text });
    if (one.role === "tool_use" || one.role === "tool_result") {
      const name = one.body?.tool?.name ?? (one.role === "tool_use" ? "a tool" : "its result");
      return element("details", {}, element("summary", { textContent: one.body?.error ? `${name}: failed` : name }), text);
    }
    return text;
  }

  function buttons(one, known) {
    if (one.dead) {
      const again = button("Write again", async () => {
        box.value = one.text ?? "";
        await store.forget(one.id);
        show();
        box.focus();
      });
      const drop = button("Dismiss", async () => { await store.forget(one.id); show(); });
      return [element("div", { className: "acts-small" }, ...(one.text ? [again] : []), drop)];
    }
    const may = ["writer", "owner"].includes(known.role) && one.role === "user" && !one.deleted && !one.pending && one.seq !== null;
    if (!may || one.author !== me) return [];
    const edit = button("Edit", () => {
      box.value = one.text;
      composer.dataset.edits = one.id;
      composer.dataset.base = String(one.revision);
      note.textContent = "Editing. Esc to stop.";
      box.focus();
    });
    const remove = button("Delete", () => add({ kind: "delete", message: one.id }));
    return [element("div", { className: "acts-small" }, edit, remove)];
  }

  function button(label, act) {
    const made = element("button", { type: "button", textContent: label });
    made.addEventListener("click", act);
    return made;
  }

  async function add(mutation) {
    try {
      await store.add({ ...mutation, thread, author: me, at: new Date().toISOString() });
    } catch (error) {
      note.textContent = error instanceof Full ? error.message : "The browser cannot keep this now: copy your text.";
      return false;
    }
    channel.postMessage("changed");
    channel.postMessage("nudge");
    sync.nudge();
    show();
    return true;
  }

  async function send() {
    const text = box.value.replaceAll("\0", "").toWellFormed().trim(); // what no server can store
    if (!text || !thread) return;
    if (new TextEncoder().encode(text).length > BYTES) {
      note.textContent = "A message has at most 256 KiB.";
      return;
    }
    const { edits, base } = composer.dataset;
    const mutation = edits ? { kind: "edit", message: edits, text, base: Number(base) } : { kind: "append", message: uuid7(), role: "user", text };
    if (!(await add(mutation))) return;
    box.value = "";
    localStorage.removeItem(`penstock-draft-${task}`);
    stopEditing();
  }

  older.addEventListener("click", async () => {
    const kept = (await store.thread(thread)).messages[0]?.seq;
    const place = before[0]?.seq ?? kept;
    const page = await sync.json("GET", `/threads/${thread}/messages?before=${place}&limit=200`).catch(() => null);
    if (!page) return;
    before = [...page.messages.map((one) => ({ siblings: [], body: {}, ...one })), ...before];
    before.end = !page.messages.length;
    show();
  });

  function stopEditing() {
    delete composer.dataset.edits;
    delete composer.dataset.base;
    note.textContent = "";
  }

  composer.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send(); }
    if (event.key === "Escape" && composer.dataset.edits) { box.value = ""; stopEditing(); }
  });
  box.value = localStorage.getItem(`penstock-draft-${task}`) ?? "";
  let saved = 0;
  box.addEventListener("input", () => { // throttled: a draft is kept at most a second late
    const save = () => { saved = Date.now(); localStorage.setItem(`penstock-draft-${task}`, box.value); };
    if (Date.now() - saved > 1000) save();
    else setTimeout(save, 1000 - (Date.now() - saved));
  });

  show();
  locked("penstock-threads", () => sync.run());
  for (let tries = 0; !sync.stopped; tries += 1) { // until the thread is known and held
    try {
      if (!thread) {
        thread = (await sync.json("GET", `/tasks/${task}/thread`)).thread;
        await store.know(task, thread);
      }
      if (!(await store.thread(thread))) await sync.follow(thread);
      break;
    } catch (error) {
      if (error.status === 404) { section.hidden = true; break; }
      await sync.sleep(Math.min(30_000, 1000 * 2 ** Math.min(tries, 5)));
    }
  }
  show();
}

/** On a page without a thread: sends what was written before and is not sent yet. */
export async function sendPending() {
  const store = await Store.open(owner);
  if (!(await store.read()).pending.some((one) => one.seq === undefined)) return store.close();
  const sync = new Sync(store, { call, renew, told: (what) => { if (what !== "changed") describeNet(what); } });
  addEventListener("online", () => sync.nudge());
  addEventListener("pagehide", () => sync.stop());
  return locked("penstock-threads", () => sync.forever(async () => { await sync.flush(); sync.stop(); }));
}
