// Starts what a page needs. Every page can be read, and its forms work, without this.

import { followList, followTask, refresh } from "./live.mjs";
import { listen } from "./keyboard.mjs";
import { describeNet } from "./net.mjs";
import { lastRenewal, owner, renew, rendered } from "./session.mjs";

document.documentElement.classList.add("js");
listen();

if (owner) {
  const before = localStorage.getItem("penstock-owner");
  if (before !== null && before !== owner) await forget(); // another person's pages must not show offline
  localStorage.setItem("penstock-owner", owner);
  const worker = navigator.serviceWorker;
  if (worker && !worker.controller) worker.addEventListener("controllerchange", () => refresh(), { once: true }); // keeps this page
  worker?.register("/web/worker.js", { scope: "/web" }).then(() => worker.ready).then(({ active }) => {
    if (!worker.controller) active.postMessage("claim");
  }).catch(() => {}); // without one, the pages work online
  if (!navigator.onLine) describeNet("offline");
  addEventListener("online", () => { describeNet("online"); refresh(); });
  addEventListener("offline", () => describeNet("offline"));
  document.querySelector('form[action$="/session/end"]')?.addEventListener("submit", leave);
}

if (owner && !document.getElementById("thread") && "indexedDB" in globalThis) {
  import("./thread.mjs").then(({ sendPending }) => sendPending()).catch(() => {}); // the next page tries again
}

const filters = document.querySelector(".filters");
if (filters) {
  filters.source.addEventListener("change", () => filters.requestSubmit());
  followList();
}

for (const form of document.querySelectorAll("form[data-act], form.answer")) {
  form.addEventListener("submit", async (event) => {
    // A page that was open for long may have an access token that has expired.
    if (event.defaultPrevented || Date.now() - Math.max(Date.parse(rendered), lastRenewal()) < 10 * 60_000) return;
    event.preventDefault();
    if (await renew().catch(() => false)) form.submit();
    else describeNet("signed-out");
  });
}

const task = document.getElementById("task");
if (task) {
  if (task.hasAttribute("data-follow")) followTask(task.dataset.task);
  for (const form of document.querySelectorAll('form[data-act="cancel"]')) {
    form.addEventListener("submit", (event) => { if (!confirm("Cancel this task? What it did so far is kept.")) event.preventDefault(); });
  }
  const section = document.getElementById("thread");
  if (section && owner && "indexedDB" in globalThis) {
    const { startThread } = await import("./thread.mjs");
    startThread(section).catch((error) => { section.querySelector("#thread-state").textContent = `not available: ${error.message}`; });
  }
}

/** Signing out deletes what the browser keeps: whoever has written something that is not sent yet is asked first. */
async function leave(event) {
  event.preventDefault();
  const waiting = await unsent().catch(() => 0);
  if (waiting && !confirm(`${waiting === 1 ? "One change is" : `${waiting} changes are`} not sent yet and would be lost. Sign out all the same?`)) return;
  await forget().catch(() => {});
  event.target.submit();
}

async function unsent() {
  if (!("indexedDB" in globalThis)) return 0;
  const { countUnsent } = await import("./thread.mjs");
  return countUnsent();
}

/** Deletes what the browser keeps of the pages and threads. */
async function forget() {
  for (const name of await caches.keys()) if (name.startsWith("penstock-")) await caches.delete(name);
  await new Promise((resolve) => {
    const request = indexedDB.deleteDatabase("penstock-threads");
    request.onsuccess = request.onerror = request.onblocked = resolve;
  });
  for (const key of Object.keys(localStorage)) if (key.startsWith("penstock-")) localStorage.removeItem(key);
}
