// A copy of a thread: what the server has confirmed, and the pending mutations replayed over it. Pure functions, which
// change nothing they are given. The table of ops is in docs/threads.md; the server alone gives the order.

export const KEPT_MESSAGES = 500; // the last ones of a thread; older ones are read when they are asked for

/** A thread of which nothing is known yet. `head` is the number of the last op that is folded in. */
export function emptyThread(id) {
  return { id, title: "", head: 0, role: "reader", owner: "", messages: [] };
}

/** The thread after one more op. An op that was folded before changes nothing. */
export function fold(thread, op) {
  if (op.seq <= thread.head) return thread;
  const next = { ...thread, head: op.seq };
  const body = op.body ?? {};
  if (op.kind === "append") {
    if (thread.messages.some((one) => one.id === body.id)) return next;
    const added = {
      id: body.id, seq: op.seq, revision: op.seq, role: body.role, author: op.author, at: op.at,
      text: body.text ?? "", body: body.body ?? {}, siblings: [], deleted: false,
    };
    next.messages = [...thread.messages, added].slice(-KEPT_MESSAGES);
  } else if (op.kind === "edit") {
    next.messages = changed(thread.messages, body.id, (one) => op.seq <= one.revision || one.deleted ? one : {
      ...one, text: body.text, revision: op.seq,
      siblings: one.siblings.filter((other) => !(body.resolves ?? []).includes(other.seq)),
    });
  } else if (op.kind === "sibling") {
    next.messages = changed(thread.messages, body.id, (one) =>
      op.seq <= one.revision || one.deleted ? one
        : { ...one, revision: op.seq, siblings: [...one.siblings, { seq: op.seq, author: op.author, text: body.text }] });
  } else if (op.kind === "delete") {
    next.messages = changed(thread.messages, body.id, gone);
  } else if (op.kind === "truncate") {
    next.messages = thread.messages.map((one) => (body.after < one.seq && one.seq <= body.upto ? gone(one) : one));
  } else if (op.kind === "title") {
    next.title = body.title;
  } else if (op.kind === "create") {
    next.title = body.title;
    next.owner = body.owner;
  } else if (op.kind === "continued") {
    next.continuedIn = body.thread;
  }
  return next; // an op of a later version counts, and changes nothing that is shown
}

/** Folds ops that follow the copy without a gap. Returns null if some are missing between. */
export function foldAll(thread, ops) {
  let next = thread;
  for (const op of ops) {
    if (op.seq > next.head + 1) return null;
    next = fold(next, op);
  }
  return next;
}

/** The messages as they are shown: the confirmed ones, and over them what is pending, in order. */
export function shown(thread, pending) {
  let messages = thread.messages;
  for (const mutation of pending) {
    if (mutation.thread !== thread.id) continue;
    if (mutation.kind === "append") {
      if (messages.some((one) => one.id === mutation.message)) continue;
      messages = [...messages, {
        id: mutation.message, seq: null, revision: 0, role: mutation.role, author: mutation.author ?? "", at: mutation.at,
        text: mutation.text, body: mutation.body ?? {}, siblings: [], deleted: false, pending: true,
      }];
    } else if (mutation.kind === "edit") {
      messages = changed(messages, mutation.message, (one) =>
        one.deleted ? one : { ...one, text: mutation.text, pending: true });
    } else if (mutation.kind === "delete") {
      messages = changed(messages, mutation.message, (one) => ({ ...gone(one), pending: true }));
    }
  }
  return messages;
}

/** The title as it is shown. */
export function titleOf(thread, pending) {
  return pending.findLast((one) => one.thread === thread.id && one.kind === "title")?.title ?? thread.title;
}

/** Which pending mutations stay once a copy has come this far: those whose op is not in it yet. */
export function stillPending(pending, thread, client, ops = []) {
  const own = new Set(ops.filter((op) => op.client === client).map((op) => op.mutation));
  return pending.filter((one) => {
    if (one.thread !== thread.id) return true;
    if (own.has(one.id) || (one.seq !== undefined && one.seq <= thread.head)) return false;
    return !(one.kind === "append" && thread.messages.some((message) => message.id === one.message));
  });
}

/** What a push's answer makes of the pending mutations: `pending` without what is settled, and the `dead` ones, which the
 * server did not take. */
export function settle(pending, results) {
  const answered = new Map(results.map((one) => [one.id, one]));
  const left = [];
  const dead = [];
  for (const mutation of pending) {
    const result = answered.get(mutation.id);
    if (result === undefined) {
      left.push(mutation);
      continue;
    }
    const status = result.status === "duplicate" ? result.was : result.status;
    if (result.code === "exists" && mutation.kind === "append") continue; // its id is ours: it was sent before
    if (status === "rejected" || (status === "conflict" && result.code === "deleted")) {
      dead.push({ ...mutation, code: result.code ?? status, why: result.message ?? result.code ?? "it was refused" });
    } else if (result.seq !== undefined && result.seq !== null) {
      left.push({ ...mutation, seq: result.seq }); // sent; shown as pending until its op arrives
    }
  }
  return { pending: left, dead };
}

/** The first mutations that are not sent yet: at most `most`, and `bytes` of JSON. */
export function batch(pending, most = 50, bytes = 256 * 1024) {
  const chosen = [];
  let size = 0;
  for (const mutation of pending) {
    if (mutation.seq !== undefined) continue;
    const length = new TextEncoder().encode(JSON.stringify(wire(mutation))).length;
    if (chosen.length && (chosen.length >= most || size + length > bytes)) break;
    chosen.push(mutation);
    size += length;
  }
  return chosen;
}

/** A mutation as it is sent: without what is kept only to show it. */
export function wire({ author: _author, at: _at, seq: _seq, ...mutation }) {
  return mutation;
}

/** Time-ordered ids (RFC 9562, UUIDv7), so that a message has its id before the server has seen it. */
export function uuid7(now = Date.now(), random = crypto.getRandomValues(new Uint8Array(10))) {
  const bytes = new Uint8Array(16);
  for (let index = 0; index < 6; index += 1) bytes[index] = Math.floor(now / 2 ** (8 * (5 - index))) % 256;
  bytes.set(random, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function changed(messages, id, change) {
  return messages.map((one) => (one.id === id ? change(one) : one));
}

function gone(message) {
  return { ...message, text: "", body: {}, siblings: [], deleted: true };
}
