// The thread on a task's page: shows what is confirmed and what is still to be sent, and writes. Of several tabs one
// talks to the server; the others hear from it.

import { emptyThread, shown, titleOf, uuid7 } from "./replica.mjs";
import { call, locked, owner, renew } from "./session.mjs";
import { Full, Store } from "./store.mjs";
import { Sync } from "./sync.mjs";
import { describeNet } from "./net.mjs";
import { element } from "./dom.mjs";
import { showChosen, upload } from "./attach.mjs";
import { mentionsIn } from "./mentions.mjs";
import { messageRow, stepsRow } from "./message.mjs";
import { openSharing } from "./share.mjs";

const BYTES = 256 * 1024;
const me = owner.slice(owner.indexOf(" ") + 1);

export async function startThread(section) {
  const list = section.querySelector("#messages");
  const composer = section.querySelector("#composer");
  const box = section.querySelector("#say");
  const note = section.querySelector("#say-note");
  const status = section.querySelector("#thread-state");
  const older = section.querySelector("#older");
  const files = section.querySelector("#attach");
  const chosen = section.querySelector("#attached");
  const rename = section.querySelector("#rename");
  const sharing = section.querySelector("#share");
  const title = section.querySelector("#thread-name");
  let sending = false;
  const task = section.dataset.threadOf;
  let before = []; // older messages than those that are kept, as long as the page is open
  const store = await Store.open(owner);
  const channel = new BroadcastChannel("penstock-threads");
  let thread = await store.threadOf(task);

  const sync = new Sync(store, {
    call, renew, watched: () => document.visibilityState === "visible",
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
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") sync.nudge(); });

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
      title.textContent = titleOf(known, mine);
      rename.hidden = !["writer", "owner"].includes(known.role);
      sharing.hidden = known.role !== "owner";
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
    list.replaceChildren(...rows.map(({ key, one, steps }) => stays.get(key) ?? (steps ? stepsRow(key, steps, list) : messageRow(key, one, known, acts))));
    if (!rows.length) list.replaceChildren(element("li", { className: "soft", textContent: thread ? "Nothing was said yet." : "" }));
    if (atEnd && document.activeElement === box) composer.scrollIntoView({ block: "end" });
  }

  const acts = {
    me,
    add,
    edit(one) {
      box.value = one.text;
      composer.dataset.edits = one.id;
      composer.dataset.base = String(one.revision);
      note.textContent = "Editing. Esc to stop.";
      box.focus();
    },
    async writeAgain(one) {
      box.value = one.text ?? "";
      await acts.dismiss(one);
      box.focus();
    },
    async dismiss(one) {
      await store.forget(one.id);
      show();
    },
  };

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
    sending = true;
    try {
      await sendNow();
    } finally {
      sending = false;
    }
  }

  async function sendNow() {
    const text = box.value.replaceAll("\0", "").toWellFormed().trim(); // what no server can store
    if (!thread || (!text && !files.files.length)) return;
    if (new TextEncoder().encode(text).length > BYTES) {
      note.textContent = "A message has at most 256 KiB.";
      return;
    }
    const { edits, base } = composer.dataset;
    let mutation = { kind: "edit", message: edits, text, base: Number(base) };
    if (!edits) {
      const mentions = mentionsIn(text);
      let attached = [];
      try {
        attached = await upload(sync, thread, files.files, (what) => { note.textContent = what; });
      } catch (error) {
        note.textContent = `Not sent: ${error.message}`;
        return;
      }
      const body = { ...(mentions.length ? { mentions } : {}), ...(attached.length ? { attachments: attached } : {}) };
      mutation = { kind: "append", message: uuid7(), role: "user", text, ...(Object.keys(body).length ? { body } : {}) };
    }
    if (!(await add(mutation))) return;
    box.value = "";
    files.value = "";
    showChosen(files, chosen);
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

  rename.addEventListener("click", async () => {
    const copy = await store.thread(thread);
    const now = titleOf(copy, (await store.read()).pending.filter((one) => one.thread === thread));
    const wanted = prompt("Title of this thread", now)?.trim().slice(0, 300);
    if (wanted && wanted !== now) await add({ kind: "title", title: wanted, base: copy.title });
  });
  sharing.addEventListener("click", () => openSharing(sync, thread));
  files.addEventListener("change", () => showChosen(files, chosen));
  composer.addEventListener("submit", (event) => { event.preventDefault(); if (!sending) send(); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); if (!sending) send(); }
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

/** How many changes the server has not got yet, or has refused and nobody has dismissed. */
export async function countUnsent() {
  const store = await Store.open(owner);
  const { pending, dead } = await store.read();
  store.close();
  return pending.filter((one) => one.seq === undefined).length + dead.length;
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
