// Attachments: small files that are stored under the hash of their bytes before the message that names them is sent.

import { element } from "./dom.mjs";
import { API } from "./session.mjs";

export const MOST_BYTES = 1024 * 1024; // of one
export const MOST_FILES = 20; // of a message

/** Stores the chosen files in a thread, and returns what a message's body says of them. Needs a connection. Throws an
 * error whose message is for a person. */
export async function upload(sync, thread, files, told) {
  const chosen = [...files];
  if (chosen.length > MOST_FILES) throw new Error(`a message has at most ${MOST_FILES} attachments.`);
  const large = chosen.find((file) => file.size > MOST_BYTES);
  if (large) throw new Error(`${large.name} is larger than 1 MiB.`);
  const stored = new Map();
  for (const file of chosen) {
    told(`Attaching ${file.name}`);
    const bytes = await file.arrayBuffer();
    const sha256 = [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].map((one) => one.toString(16).padStart(2, "0")).join("");
    try {
      await sync.json("PUT", `/threads/${thread}/blobs/${sha256}`, new Blob([bytes], { type: file.type || "application/octet-stream" }));
    } catch (error) {
      throw new Error(error.status ? error.message : "attaching needs a connection. Your text is still here.");
    }
    stored.set(sha256, { sha256, name: file.name.replaceAll("\0", "").toWellFormed().slice(0, 200) || "attachment" });
  }
  told("");
  return [...stored.values()];
}

/** Says which files go with the message. */
export function showChosen(input, place) {
  place.replaceChildren(...[...input.files].map((file) => element("span", { className: "chip", textContent: `${file.name} · ${size(file.size)}` })));
}

/** Links under a message, with which a browser stores its attachments; it shows none of them itself. */
export function attachments(thread, one) {
  const named = one.body?.attachments ?? [];
  if (!named.length) return [];
  return [element("p", { className: "attachments" }, ...named.map(({ sha256, name }) =>
    element("a", { className: "chip", href: `${API}/threads/${thread}/blobs/${sha256}`, download: name, textContent: name })))];
}

function size(bytes) {
  return bytes < 1024 ? `${bytes} B` : bytes < MOST_BYTES ? `${Math.round(bytes / 1024)} KiB` : `${(bytes / MOST_BYTES).toFixed(1)} MiB`;
}
