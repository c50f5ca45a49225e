// What keeps a browser in step, over a server of the test's own and a store in memory.
import assert from "node:assert/strict";
import test from "node:test";

import { foldAll, emptyThread, shown } from "../../../../gateway/web/static/replica.mjs";
import { DELAYS_MS, SignedOut, Sync } from "../../../../gateway/web/static/sync.mjs";

class Memory {
  constructor() { this.state = { meta: { client: "me", last: 0, cursor: null }, pending: [], threads: new Map(), dead: [] }; }
  async change(act) {
    const state = { ...this.state, dead: [], purge: [] };
    const result = act(state);
    this.state = { meta: state.meta, pending: state.pending, threads: state.threads, dead: [...this.state.dead, ...state.dead] };
    for (const id of state.purge) this.state.threads.delete(id);
    return result;
  }
  async read() { return { ...this.state, held: [...this.state.threads.keys()] }; }
  async thread(id) { return this.state.threads.get(id); }
  async add(mutation) {
    return this.change((state) => { state.meta.last += 1; const added = { ...mutation, id: state.meta.last }; state.pending = [...state.pending, added]; return added; });
  }
}

/** A server with one thread: the protocol's push and pull, as docs/threads.md has them. */
class Server {
  constructor() { this.ops = []; this.last = {}; this.pushes = 0; this.fail = () => null; this.purged = false; }
  async call(method, path, body) {
    await new Promise((resolve) => setImmediate(resolve));
    const before = this.fail(method, path, "before");
    if (before) return before;
    const answer = this.answer(method, path, body);
    return this.fail(method, path, "after") ?? answer;
  }
  answer(method, path, body) {
    const url = new URL(path, "http://x");
    if (url.pathname === "/sync/push") return reply(...this.push(body));
    if (url.pathname === "/sync/pull") {
      const from = Number(url.searchParams.get("cursor") ?? 0);
      const about = { id: "t", title: "T", head: this.ops.length, role: "writer", owner: "o", visibility: "team", from: from + 1, ops: this.ops.slice(from, from + 3) };
      return reply(200, { cursor: String(this.ops.length), reset: this.reset ?? false, threads: this.ops.length > from ? [about] : [], purge: this.purged ? ["t"] : [] });
    }
    if (url.pathname === "/threads/t/ops") { const after = Number(url.searchParams.get("after")); return reply(200, { ops: this.ops.slice(after, after + 500) }); }
    if (url.pathname === "/threads/t/messages") return reply(200, { messages: foldAll(emptyThread("t"), this.ops).messages });
    return reply(200, { id: "t", title: "T", head: this.ops.length, role: "writer", owner: "o", visibility: "team" });
  }
  push({ client, mutations }) {
    this.pushes += 1;
    this.last[client] ??= 0;
    const results = [];
    for (const one of mutations) {
      if (one.id > this.last[client] + 1) return [409, { code: "gap", expected: this.last[client] + 1 }];
      if (one.id <= this.last[client]) { results.push({ id: one.id, status: "duplicate", was: "applied", seq: this.ops.findIndex((op) => op.mutation === one.id && op.client === client) + 1 }); continue; }
      this.last[client] = one.id;
      const seq = this.ops.length + 1;
      this.ops.push({ seq, kind: "append", author: "me", at: "", client, mutation: one.id, body: { id: one.message, role: "user", text: one.text, body: {} } });
      results.push({ id: one.id, status: "applied", seq });
    }
    return [200, { last_mutation_id: this.last[client], results }];
  }
}

function reply(status, body) { return { status, ok: status < 300, json: async () => body, clone() { return this; } }; }

function made(server, more = {}) {
  const store = new Memory();
  store.state.threads.set("t", emptyThread("t"));
  const heard = [];
  const sync = new Sync(store, { call: (...given) => server.call(...given), renew: async () => false, told: (what) => heard.push(what), timer: (act) => { setImmediate(act); return 0; }, random: () => 0, ...more });
  return { store, sync, heard };
}

const say = (store, text) => store.add({ thread: "t", kind: "append", message: text, role: "user", text });
const settled = async () => { for (let n = 0; n < 200; n += 1) await new Promise((resolve) => setImmediate(resolve)); };
const said = (server) => server.ops.map((op) => op.body.text);

test("what is written while nothing answers is sent once, in order, when it answers again", async () => {
  const server = new Server();
  let down = 5;
  server.fail = (_method, _path, when) => { if (when === "before" && down > 0) { down -= 1; throw new TypeError("no connection"); } return null; };
  const { store, sync, heard } = made(server);
  for (const text of ["a", "b", "c"]) await say(store, text);
  const run = sync.run();
  await settled();
  sync.stop();
  await run;
  assert.deepEqual(said(server), ["a", "b", "c"]);
  assert.ok(heard.includes("offline") && heard.includes("online"));
});

test("an answer that is lost costs a repetition, and nothing takes effect twice", async () => {
  const server = new Server();
  let lost = 3;
  server.fail = (_method, path, when) => { if (path === "/sync/push" && when === "after" && lost > 0) { lost -= 1; throw new TypeError("lost"); } return null; };
  const { store, sync } = made(server);
  for (const text of ["a", "b"]) await say(store, text);
  const run = sync.run();
  await settled();
  sync.stop();
  await run;
  assert.ok(lost < 3);
  assert.deepEqual(said(server), ["a", "b"]);
  assert.deepEqual(store.state.pending, []);
  assert.deepEqual(shown(store.state.threads.get("t"), []).map((one) => one.text), ["a", "b"]);
});

test("a copy that is far behind reads what the pull did not hold", async () => {
  const server = new Server();
  server.push({ client: "another", mutations: Array.from({ length: 40 }, (_, n) => ({ id: n + 1, message: `m${n}`, text: `n${n}` })) });
  const { store, sync } = made(server);
  await sync.pullOnce();
  assert.equal(store.state.threads.get("t").head, 40);
  assert.equal(store.state.threads.get("t").messages.length, 40);
});

test("a reset forgets what was confirmed, keeps what is pending, and reads the thread anew", async () => {
  const server = new Server();
  server.push({ client: "another", mutations: [{ id: 1, message: "m", text: "of this server" }] });
  server.reset = true;
  const { store, sync } = made(server);
  store.state.threads.set("t", { ...emptyThread("t"), head: 90, messages: [{ id: "x", seq: 90, text: "of another server" }] });
  await say(store, "mine");
  await sync.pullOnce();
  assert.deepEqual(store.state.threads.get("t").messages.map((one) => one.text), ["of this server"]);
  assert.deepEqual(store.state.pending.map((one) => one.text), ["mine"]);
});

test("a server that has forgotten the client gets what is pending under new numbers", async () => {
  const server = new Server();
  const { store, sync } = made(server);
  store.state.meta.last = 30; // this client has sent 30, of which this server knows nothing
  await say(store, "a");
  const run = sync.run();
  await settled();
  sync.stop();
  await run;
  assert.deepEqual(said(server), ["a"]);
  assert.notEqual(store.state.meta.client, "me");
});

test("many refused requests cause one renewal, and the second refusal is told", async () => {
  const server = new Server();
  let renewals = 0;
  let good = false;
  server.fail = (_method, _path, when) => (when === "before" && !good ? reply(401, { code: "token" }) : null);
  const { sync } = made(server, { renew: async () => { renewals += 1; await settled(); good = true; return true; } });
  await Promise.all([1, 2, 3, 4].map(() => sync.json("GET", "/threads/t")));
  assert.equal(renewals, 1);
  good = false;
  const { sync: other } = made(server, { renew: async () => false });
  await assert.rejects(other.json("GET", "/threads/t"), SignedOut);
});

test("a right that was taken away takes the copy, and what was not sent is refused and stays with its author", async () => {
  const server = new Server();
  const { store, sync } = made(server);
  await say(store, "secret");
  store.state.pending.push({ id: 0, seq: 3, thread: "t", kind: "append", message: "was sent" });
  server.purged = true;
  await sync.pullOnce();
  assert.equal(store.state.threads.size, 0);
  assert.deepEqual(store.state.pending.map((one) => [one.id, one.message]), [[1, "secret"]]);
  server.push = () => [200, { results: [{ id: 1, status: "rejected", code: "no-thread", message: "there is no such thread" }] }];
  await sync.flush();
  assert.deepEqual(store.state.pending, []);
  assert.deepEqual(store.state.dead.map((one) => [one.text, one.code]), [["secret", "no-thread"]]);
});

test("after a reset, threads that it does not name are read anew, or are gone with the right to read them", async () => {
  const server = new Server();
  server.reset = true;
  server.fail = (_method, path, when) => (when === "before" && path.startsWith("/threads/taken") ? reply(404, { code: "no-thread" }) : null);
  const { store, sync } = made(server);
  store.state.threads.set("taken", { ...emptyThread("taken"), head: 4, messages: [{ id: "x", seq: 4, text: "secret" }] });
  store.state.threads.set("t", { ...emptyThread("t"), head: 90, messages: [{ id: "y", seq: 90, text: "of before" }] });
  await sync.pullOnce();
  assert.deepEqual([...store.state.threads.keys()], ["t"]);
  assert.deepEqual([store.state.threads.get("t").head, store.state.threads.get("t").messages], [0, []]);
});

test("a mutation that the server cannot read is found among others, and blocks none of them", async () => {
  const server = new Server();
  const push = server.push.bind(server);
  server.push = (body) => (body.mutations.some((one) => one.text === "bad") ? [400, { code: "malformed", error: "text: no" }] : push(body));
  const { store, sync } = made(server);
  for (const text of ["a", "bad", "b", "c"]) await say(store, text);
  await sync.flush();
  assert.deepEqual(said(server), ["a", "b", "c"]);
  assert.deepEqual(store.state.dead.map((one) => [one.text, one.why]), [["bad", "text: no"]]);
  await say(store, "d");
  await sync.flush();
  assert.deepEqual(said(server), ["a", "b", "c", "d"]);
  assert.equal(store.state.meta.client, "me");
});

test("failures wait longer and longer, for ever, and a nudge ends the wait", async () => {
  const waits = [];
  const server = { call: async () => { await new Promise((resolve) => setImmediate(resolve)); throw new TypeError("no connection"); } };
  const { store, sync } = made(server, { random: () => 1, timer: (act, ms) => { waits.push(ms); if (waits.length < 20) setImmediate(act); return 0; } });
  await say(store, "a");
  const run = sync.forever(() => sync.pullOnce());
  await settled();
  assert.deepEqual(waits.slice(0, 8), [...DELAYS_MS, 30_000, 30_000, 30_000]);
  sync.nudge();
  await settled();
  assert.equal(waits.length, 21);
  sync.stop();
  await run;
});

test("a page that nobody looks at polls every 5 s while much is going on, and every minute when idle", async () => {
  const waits = [];
  const server = new Server();
  let now = 1_000_000;
  const { store, sync } = made(server, { watched: () => false, random: () => 0.5, clock: () => now, timer: (act, ms) => { waits.push(ms); setImmediate(act); return 0; } });
  await sync.pullNext();
  await sync.pullNext();
  assert.deepEqual(waits.splice(0), [60_000, 60_000]);
  for (let n = 0; n < 4; n += 1) {
    server.push({ client: "another", mutations: [{ id: n + 1, message: `m${n}`, text: "news" }] });
    await sync.pullNext();
  }
  assert.deepEqual(waits.splice(0).map(Math.round).at(-1), 5000);
  now += 3600_000;
  await sync.pullNext();
  assert.equal(Math.round(waits[0]), 60_000);
  assert.equal(store.state.threads.get("t").head, 4);
});
