// Keeps a browser's threads in step with the server: pushes what is pending, one push at a time, and long-polls for what
// is new. Whatever fails is tried again for ever, with the same numbers, so that nothing takes effect twice.
// See "Protocol" in docs/threads.md.

import { batch, emptyThread, foldAll, settle, stillPending, wire } from "./replica.mjs";
import { Activity, pollInterval } from "./timing.mjs";

export const PROTOCOL = 1;
export const WINDOW_MS = 100;
export const WAIT_SECONDS = 25;
export const DELAYS_MS = [1000, 2000, 5000, 10_000, 30_000];
const MALFORMED = new Set([400, 413, 422]);

export class SignedOut extends Error {}
class Answer extends Error {
  constructor(status, body) {
    super(body?.error ?? `the server answered ${status}`);
    this.status = status;
    this.body = body ?? {};
  }
}

export class Sync {
  /** `call(method, path, body, signal)` resolves to a response; `renew()` to whether the session goes on; `told(what)`
   * hears `changed`, `online`, `offline` and `signed-out`. While `watched()` pulls are long polls, else they come as
   * often as there is something going on. */
  constructor(store, { call, renew, told, watched = () => true, timer = (act, ms) => setTimeout(act, ms), random = Math.random, clock = () => Date.now() }) {
    Object.assign(this, { store, call, renew, told, watched, timer, random, clock });
    this.activity = new Activity();
    this.stopped = false;
    this.asleep = new Set();
    this.renewing = null;
    this.turn = false; // whether an agent had one in a thread that was read last
    this.abort = new AbortController();
  }

  stop() {
    this.stopped = true;
    this.abort.abort();
    this.nudge();
  }

  /** Something was added, or the network is back: what waits goes on. */
  nudge() {
    for (const wake of this.asleep) wake();
  }

  /** Waits for a time, or without one until a nudge; a nudge ends it in either case. */
  sleep(ms) {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.asleep.delete(wake);
        resolve();
      };
      const timer = ms === undefined ? undefined : this.timer(wake, ms);
      this.asleep.add(wake);
    });
  }

  async run() {
    await Promise.all([this.forever(() => this.pushAll()), this.forever(() => this.pullNext())]);
  }

  async pullNext() {
    if (this.watched()) {
      await this.pullOnce(WAIT_SECONDS);
      return;
    }
    const news = await this.pullOnce(0);
    const now = this.clock() / 1000;
    if (news) this.activity.note(now, 0.3);
    const { pending } = await this.store.read();
    const level = this.activity.now(now, pending.filter((one) => one.seq === undefined).length, this.turn);
    await this.sleep(1000 * pollInterval(level, this.random()));
  }

  async forever(step) {
    let failures = 0;
    while (!this.stopped) {
      try {
        await step();
        if (failures) this.told("online");
        failures = 0;
      } catch (error) {
        if (this.stopped) return;
        if (error instanceof SignedOut) {
          this.told("signed-out");
          await this.sleep(DELAYS_MS.at(-1));
          continue;
        }
        failures += 1;
        this.told("offline", error);
        const most = DELAYS_MS[Math.min(failures, DELAYS_MS.length) - 1];
        await this.sleep(Math.max(250, this.random() * most));
      }
    }
  }

  /** Sends what is pending, until nothing is left. */
  async flush() {
    while (!this.stopped) {
      const { meta, pending } = await this.store.read();
      const chosen = batch(pending);
      if (!chosen.length) return;
      await this.push(meta.client, chosen);
    }
  }

  async pushAll() {
    await this.flush();
    if (!this.stopped) await this.sleep();
    if (!this.stopped) await new Promise((resolve) => this.timer(resolve, WINDOW_MS));
  }

  /** Whether the mutations that follow keep their numbers. */
  async push(client, chosen) {
    let kept = true;
    try {
      const answer = await this.json("POST", "/sync/push", { protocol: PROTOCOL, client, mutations: chosen.map(wire) });
      await this.store.change((state) => {
        const { pending, dead } = settle(state.pending, answer.results);
        state.pending = pending;
        state.dead = dead;
      });
    } catch (error) {
      if (error instanceof Answer && MALFORMED.has(error.status) && error.body.code !== "protocol") {
        if (chosen.length > 1) { // each goes alone, until the one that is refused is found
          for (const one of chosen) if (!(await this.push(client, [one]))) return false;
          return true;
        }
        await this.store.change((state) => bury(state, chosen[0], error));
      } else if (error instanceof Answer && error.status === 409) {
        await this.store.change((state) => renumber(state, error.body));
      } else {
        throw error;
      }
      kept = false;
    }
    this.told("changed");
    return kept;
  }

  /** Reads what changed, once; whether anything did. */
  async pullOnce(wait = WAIT_SECONDS) {
    const { meta } = await this.store.read();
    const query = new URLSearchParams({ client: meta.client, wait: String(meta.cursor ? wait : 0) });
    if (meta.cursor) query.set("cursor", meta.cursor);
    const answer = await this.json("GET", `/sync/pull?${query}`);
    const { held } = await this.store.read(); // now: a thread that is held since has the rest from `follow`
    const here = answer.threads.filter((thread) => held.includes(thread.id));
    const complete = new Map();
    for (const thread of here) complete.set(thread.id, await this.missing(thread, answer.reset));
    const gone = [...answer.purge];
    const anew = [];
    for (const id of answer.reset ? held.filter((one) => !complete.has(one)) : []) { // changed long ago, or taken away
      try {
        anew.push(await this.fetchThread(id));
      } catch (error) {
        if (error.status !== 404) throw error;
        gone.push(id);
      }
    }
    await this.store.change((state) => {
      state.meta.cursor = answer.cursor;
      for (const thread of here) {
        const next = complete.get(thread.id)(state.threads.get(thread.id) ?? emptyThread(thread.id));
        state.threads.set(thread.id, { ...next.thread, ...facts(thread) });
        state.pending = stillPending(state.pending, next.thread, state.meta.client, next.ops);
      }
      for (const thread of anew) {
        state.threads.set(thread.id, thread);
        state.pending = stillPending(state.pending, thread, state.meta.client);
      }
      for (const id of gone) {
        state.purge.push(id);
        state.threads.delete(id);
        // What is not sent yet is sent all the same: it is refused, and stays with whoever wrote it.
        state.pending = state.pending.filter((one) => one.thread !== id || one.seq === undefined);
      }
    }, here.map((thread) => thread.id));
    if (here.length) this.turn = here.some((thread) => thread.turn);
    const news = here.length > 0 || gone.length > 0 || answer.reset;
    if (news) this.told("changed");
    return news;
  }

  /** A function that brings a copy up to a pulled thread's head, with the ops that the pull did not hold. */
  async missing(thread, reset) {
    const kept = reset ? null : await this.store.thread(thread.id);
    const direct = kept && foldAll(kept, thread.ops ?? []);
    if (direct && direct.head >= thread.head) {
      return (copy) => ({ thread: foldAll(copy, thread.ops) ?? direct, ops: thread.ops });
    }
    if (!kept || thread.head - kept.head > 2000) {
      const fresh = await this.fetchThread(thread.id);
      return () => ({ thread: fresh, ops: [] });
    }
    const ops = [];
    for (let after = kept.head; after < thread.head;) {
      const page = await this.json("GET", `/threads/${thread.id}/ops?after=${after}&limit=500`);
      if (!page.ops.length) break;
      ops.push(...page.ops);
      after = page.ops.at(-1).seq;
    }
    return (copy) => ({ thread: foldAll(copy, ops) ?? copy, ops });
  }

  /** The thread with its last messages. `head` is read first: an op that comes meanwhile is folded in twice, which
   * changes nothing. */
  async fetchThread(id) {
    const about = await this.json("GET", `/threads/${id}`);
    const page = await this.json("GET", `/threads/${id}/messages?limit=200`);
    return { ...emptyThread(id), ...facts(about), head: about.head, messages: page.messages.map(message) };
  }

  /** Begins to keep a thread: reads it, and then what a pull has passed over before it was held. */
  async follow(id) {
    const fresh = await this.fetchThread(id);
    await this.store.change((state) => {
      state.threads.set(id, fresh);
      state.pending = stillPending(state.pending, fresh, state.meta.client);
    });
    this.told("changed");
    const { ops } = await this.json("GET", `/threads/${id}/ops?after=${fresh.head}&limit=1000`);
    await this.store.change((state) => {
      const copy = state.threads.get(id);
      const next = copy && foldAll(copy, ops);
      if (!next) return;
      state.threads.set(id, next);
      state.pending = stillPending(state.pending, next, state.meta.client, ops);
    }, [id]);
    this.told("changed");
  }

  async json(method, path, body) {
    for (let renewed = false; ; renewed = true) {
      const response = await this.call(method, path, body, this.abort.signal);
      if (response.status === 401 || (response.status === 403 && (await code(response)) === "form")) {
        if (renewed || !(await this.renewOnce())) throw new SignedOut("sign in again");
        continue;
      }
      const answer = response.status === 204 ? {} : await response.json();
      if (!response.ok) throw new Answer(response.status, answer);
      return answer;
    }
  }

  /** One renewal for all callers that were refused at the same time. */
  renewOnce() {
    this.renewing ??= this.renew().finally(() => { this.renewing = null; });
    return this.renewing;
  }
}

/** What is pending gets other numbers: the server's next one, or those of a new client. */
function renumber(state, problem) {
  const unsent = state.pending.filter((one) => one.seq === undefined);
  const expected = Number(problem.expected);
  if (problem.code === "gap" && unsent.some((one) => one.id === expected)) {
    state.pending = state.pending.filter((one) => one.seq !== undefined || one.id >= expected);
    return;
  }
  state.meta.client = crypto.randomUUID();
  state.pending = unsent.map((one, index) => ({ ...one, id: index + 1 }));
  state.meta.last = unsent.length;
}

/** A mutation that the server cannot even read is dead, and has used up no number. */
function bury(state, mutation, problem) {
  state.dead = [{ ...mutation, code: problem.body.code ?? String(problem.status), why: problem.message }];
  state.pending = state.pending.filter((one) => one.id !== mutation.id)
    .map((one) => (one.id > mutation.id ? { ...one, id: one.id - 1 } : one));
  state.meta.last -= 1;
}

function facts(thread) {
  const { title, role, owner, visibility } = thread;
  return { title, role, owner, visibility, turn: thread.turn ?? null, continuedIn: thread.continued_in ?? null };
}

function message(one) {
  return { siblings: [], deleted: false, body: {}, ...one, text: one.text ?? "" };
}

async function code(response) {
  try {
    return (await response.clone().json()).code;
  } catch {
    return undefined;
  }
}
