// Brings a page up to date: its parts (`data-part`) are read again and exchanged where they differ, and what an attempt
// does is added as it happens.

import { element } from "./dom.mjs";
import { describeNet } from "./net.mjs";
import { ROOT, renew } from "./session.mjs";

const LIST_MS = 5000;
let reading = null;
let again = false;

/** Reads this page again. What a person has opened, or writes in, stays as it is. */
export function refresh() {
  if (reading) {
    again = true;
    return reading;
  }
  reading = exchange().finally(() => {
    reading = null;
    if (again) { again = false; refresh(); }
  });
  return reading;
}

async function exchange() {
  let response;
  try {
    response = await fetch(location.href, { credentials: "same-origin", cache: "no-store", headers: { Accept: "text/html", "Penstock-Refresh": "1" } });
    if (response.status === 401 && (await renew())) response = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html", "Penstock-Refresh": "1" } });
  } catch {
    describeNet("offline");
    return;
  }
  if (response.status === 401) describeNet("signed-out");
  if (!response.ok) return;
  describeNet("online");
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-part]")) {
    const other = fresh.getElementById(part.id);
    if (!other || part.contains(document.activeElement) && document.activeElement.matches("textarea, input, select")) continue;
    for (const opened of other.querySelectorAll("details[id]")) {
      const before = document.getElementById(opened.id);
      if (before) opened.open = before.open;
    }
    if (part.innerHTML !== other.innerHTML) {
      const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      part.replaceWith(document.adoptNode(other));
      if (focused) document.querySelector(`#${other.id} a[href="${CSS.escape(focused)}"]`)?.focus();
    }
  }
  const follow = fresh.getElementById("task")?.hasAttribute("data-follow");
  if (follow) followTask(document.getElementById("task").dataset.task);
}

let source = null;

/** What happens to a task, by server-sent events. */
export function followTask(task) {
  if (source || !task) return;
  source = new EventSource(`${ROOT}/api/tasks/${task}/events`);
  let due = null;
  const soon = () => { due ??= setTimeout(() => { due = null; refresh(); }, 1000); };
  source.addEventListener("entry", ({ data }) => {
    append(JSON.parse(data));
    soon();
  });
  source.addEventListener("state", soon);
  source.addEventListener("end", () => {
    source.close();
    source = null;
    soon();
  });
  source.onerror = () => {
    if (source?.readyState !== EventSource.CLOSED) return; // the browser connects again by itself
    source = null;
    renew().then((goes) => (goes ? setTimeout(() => followTask(task), 2000) : describeNet("signed-out")), () => setTimeout(() => followTask(task), 5000));
  };
}

function append(entry) {
  const list = document.getElementById("moments");
  const attempt = Number(document.getElementById("task").dataset.attempt);
  if (!list || entry.attempt !== attempt || entry.seq <= Number(list.dataset.last)) return;
  list.dataset.last = String(entry.seq);
  const kind = ["observed", "end", "ask", "act", "resume", "rejected"].includes(entry.kind) ? entry.kind : "did";
  list.append(element("li", { className: `${kind} new` },
    element("time", { dateTime: entry.at, title: entry.at, textContent: entry.at.slice(11, 19) }),
    element("div", {}, element("p", { textContent: entry.text }))));
}

/** Reads a list again every few seconds while somebody looks. */
export function followList() {
  setInterval(() => { if (document.visibilityState === "visible") refresh(); }, LIST_MS);
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") refresh(); });
}
