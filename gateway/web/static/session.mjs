// Requests of the pages' scripts: with the session's cookie and form token, and one renewal for all tabs when the access
// token has expired.

export const ROOT = "/web";
export const API = `${ROOT}/api`;
const meta = (name) => document.querySelector(`meta[name="penstock-${name}"]`)?.content ?? "";

/** Who is signed in, and in which team: what is kept in the browser belongs to exactly them. */
export const owner = meta("owner");
export const rendered = meta("rendered");

/** A request to the API; `body` is sent as JSON, or as it is if it is a Blob. */
export function call(method, path, body, signal) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["Penstock-Form"] = meta("form");
  if (body !== undefined) headers["Content-Type"] = body instanceof Blob ? body.type : "application/json";
  return fetch(`${API}${path}`, {
    method, headers, signal, credentials: "same-origin", cache: "no-store", redirect: "error",
    body: body === undefined || body instanceof Blob ? body : JSON.stringify(body),
  });
}

/** Whether the session goes on. Tabs do this one after another; one that waited finds it done. */
export async function renew() {
  const asked = Date.now();
  return locked("penstock-renew", async () => {
    if (lastRenewal() > asked) return true;
    const response = await fetch(`${ROOT}/session/renew`, { method: "POST", credentials: "same-origin", redirect: "error" });
    if (response.ok) localStorage.setItem("penstock-renewed", String(Date.now()));
    if (!response.ok && response.status !== 401) throw new Error(`the session cannot be renewed now (${response.status})`);
    return response.ok;
  });
}

/** When a tab has last renewed the session, in milliseconds; 0 for never. */
export function lastRenewal() {
  return Number(localStorage.getItem("penstock-renewed") ?? 0);
}

export function locked(name, work) {
  return navigator.locks ? navigator.locks.request(name, work) : work();
}
