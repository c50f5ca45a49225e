// The service worker: pages are read from the server, and from what was kept of them while it does not answer. Scripts and
// styles are kept by the hash in their address. Nothing of the API is kept here.

const VERSION = "__VERSION__";
const FILES = `__FILES__`.split("\n");
const SHELL = `penstock-shell-${VERSION}`;
const PAGES = "penstock-pages";
const MOST_PAGES = 60;
const PATIENCE_MS = 8000;

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches.open(SHELL).then((cache) => cache.addAll([...FILES, "/web/offline"])).then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter((name) => name.startsWith("penstock-shell-") && name !== SHELL).map((name) => caches.delete(name))))
      .then(() => self.clients.claim())
      .then(() => fetch("/web", { headers: { "Penstock-Refresh": "1" } })) // the list is always there
      .then((answer) => (answer.ok && !answer.redirected ? keep(new URL("/web", location.origin).href, answer) : undefined))
      .catch(() => {}),
  );
});

// From a page that was still loading when this became active.
self.addEventListener("message", (event) => {
  if (event.data === "claim") event.waitUntil(self.clients.claim());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== location.origin) return;
  if (address.pathname.startsWith("/web/static/")) event.respondWith(kept(request));
  else if (isPage(address) && (request.mode === "navigate" || request.headers.has("Penstock-Refresh"))) event.respondWith(page(request, event));
});

function isPage({ pathname, searchParams }) {
  return (pathname === "/web" || pathname.startsWith("/web/tasks/")) && !searchParams.has("code");
}

async function kept(request) {
  return (await caches.match(request)) ?? fetch(request);
}

async function page(request, event) {
  const copy = async () => (await caches.open(PAGES)).match(plain(request.url));
  const late = new Promise((resolve) => { setTimeout(resolve, PATIENCE_MS); }).then(copy);
  try {
    const asked = fetch(request); // without options, which would change its mode
    const answer = (await Promise.race([asked, late])) ?? (await asked);
    // An answer that a redirect led to is another page, such as the one for signing in.
    if (answer.ok && !answer.redirected && answer.type === "basic") event.waitUntil(keep(request.url, answer.clone()));
    if (answer.status !== 503) return answer;
  } catch {
    // the server does not answer
  }
  if (request.headers.has("Penstock-Refresh")) return Response.error();
  return (await copy()) ?? (await caches.match("/web/offline")) ?? Response.error();
}

async function keep(address, answer) {
  const cache = await caches.open(PAGES);
  await cache.delete(plain(address));
  await cache.put(plain(address), answer);
  const all = await cache.keys();
  for (const old of all.slice(0, Math.max(0, all.length - MOST_PAGES))) await cache.delete(old);
}

function plain(address) {
  return address.split("#")[0];
}
