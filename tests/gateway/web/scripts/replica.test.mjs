// The browser's copy of a thread. Run by tests/gateway/web/test_scripts.py; by hand: node --test FOLDER
import assert from "node:assert/strict";
import test from "node:test";

import { batch, emptyThread, fold, foldAll, settle, shown, stillPending, uuid7, wire } from "../../../../gateway/web/static/replica.mjs";

const op = (seq, kind, body, more = {}) => ({ seq, kind, body, author: "ann", at: "2030-01-01T00:00:00Z", client: null, mutation: null, ...more });
const append = (seq, id, text = id, more = {}) => op(seq, "append", { id, role: "user", text, body: {} }, more);
const texts = (messages) => messages.map((one) => (one.deleted ? null : one.text));

function random(seed) { // mulberry32
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function someOps(draw, count) {
  const ids = [];
  return Array.from({ length: count }, (_, index) => {
    const seq = index + 1;
    const known = ids[Math.floor(draw() * ids.length)];
    const kind = known ? ["append", "append", "edit", "delete", "truncate", "title", "sibling", "of the future"][Math.floor(draw() * 8)] : "append";
    if (kind === "append") {
      ids.push(`m${seq}`);
      return append(seq, `m${seq}`, `text ${seq}`);
    }
    if (kind === "truncate") return op(seq, kind, { after: Math.floor(draw() * seq), upto: Math.floor(draw() * seq) });
    if (kind === "title") return op(seq, kind, { title: `title ${seq}` });
    return op(seq, kind, { id: known, text: `text ${seq}`, base: 1 });
  });
}

test("folding twice, in pieces or at once gives the same copy", () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const draw = random(seed);
    const ops = someOps(draw, 1 + Math.floor(draw() * 40));
    const whole = foldAll(emptyThread("t"), ops);
    let pieces = emptyThread("t");
    for (let at = 0; at < ops.length;) {
      const from = Math.max(0, at - Math.floor(draw() * 5)); // some again, as after a lost answer
      const to = at + 1 + Math.floor(draw() * 5);
      pieces = foldAll(pieces, ops.slice(from, to));
      at = to;
    }
    assert.deepEqual(pieces, whole, `seed ${seed}`);
    assert.equal(whole.head, ops.length);
  }
});

test("a gap is noticed and nothing is folded in over it", () => {
  const copy = foldAll(emptyThread("t"), [append(1, "a")]);
  assert.equal(foldAll(copy, [append(3, "c")]), null);
  assert.equal(foldAll(copy, [append(1, "a"), append(2, "b")]).head, 2);
});

test("an op that comes again late changes nothing", () => {
  const ops = [op(1, "create", { title: "one", owner: "o" }), append(2, "a"), op(3, "title", { title: "two" }), op(4, "delete", { id: "a" })];
  const copy = foldAll(emptyThread("t"), ops);
  for (const old of ops) assert.deepEqual(fold(copy, old), copy);
});

test("messages that were read with later edits are not set back by earlier ones", () => {
  const read = { ...emptyThread("t"), head: 5, messages: [{ id: "a", seq: 1, revision: 9, role: "user", author: "ann", text: "new", body: {}, siblings: [], deleted: false }] };
  const after = foldAll(read, [op(6, "edit", { id: "a", text: "old", base: 1 }), op(7, "edit", { id: "a", text: "old too", base: 6 }), op(8, "title", { title: "t" })]);
  assert.deepEqual(texts(after.messages), ["new"]);
  assert.deepEqual(texts(foldAll(after, [op(9, "edit", { id: "a", text: "new", base: 7 }), op(10, "edit", { id: "a", text: "newer", base: 9 })]).messages), ["newer"]);
});

test("a tombstone wins over an edit, and a truncation spares what came later", () => {
  const ops = [append(1, "a"), append(2, "b"), op(3, "delete", { id: "a" }), op(4, "edit", { id: "a", text: "again", base: 1 }), append(5, "c"), op(6, "truncate", { after: 1, upto: 2 })];
  assert.deepEqual(texts(foldAll(emptyThread("t"), ops).messages), [null, null, "c"]);
});

test("an edit that was merged replaces the text, and drops the siblings that it resolves", () => {
  const ops = [append(1, "a", "one"), op(2, "sibling", { id: "a", text: "two", base: 1 }), op(3, "edit", { id: "a", text: "both", base: 1, resolves: [2] })];
  const [before] = foldAll(emptyThread("t"), ops.slice(0, 2)).messages;
  assert.deepEqual([before.text, before.siblings.map((one) => one.text)], ["one", ["two"]]);
  const [after] = foldAll(emptyThread("t"), ops).messages;
  assert.deepEqual([after.text, after.revision, after.siblings], ["both", 3, []]);
});

test("a version beside a message is a new revision of it, and does not come back once it is resolved", () => {
  const ops = [append(1, "a"), op(2, "sibling", { id: "a", text: "other" }), op(3, "edit", { id: "a", text: "chosen", base: 2, resolves: [2] })];
  assert.equal(foldAll(emptyThread("t"), ops.slice(0, 2)).messages[0].revision, 2);
  const later = { ...foldAll(emptyThread("t"), ops), head: 1 }; // read with its later ops, which then come again
  assert.deepEqual(foldAll(later, ops.slice(1)).messages[0].siblings, []);
});

test("what is pending is shown over what is confirmed, and rolling back is dropping it", () => {
  const copy = foldAll(emptyThread("t"), [append(1, "a"), append(2, "b")]);
  const pending = [
    { id: 1, thread: "t", kind: "append", message: "c", role: "user", text: "c" },
    { id: 2, thread: "t", kind: "edit", message: "a", text: "A", base: 1 },
    { id: 3, thread: "other", kind: "append", message: "x", role: "user", text: "x" },
    { id: 4, thread: "t", kind: "delete", message: "b" },
  ];
  assert.deepEqual(texts(shown(copy, pending)), ["A", null, "c"]);
  assert.deepEqual(texts(shown(copy, pending.filter((one) => one.id !== 2))), ["a", null, "c"]);
  assert.deepEqual(texts(copy.messages), ["a", "b"]);
});

test("a pending mutation goes when its op arrives, by its number, its seq or its message", () => {
  const mine = { id: 7, thread: "t", kind: "append", message: "m", text: "m" };
  const before = emptyThread("t");
  const ops = [append(1, "m", "m", { client: "me", mutation: 7 })];
  const after = foldAll(before, ops);
  assert.deepEqual(stillPending([mine], before, "me"), [mine]);
  assert.deepEqual(stillPending([mine], after, "me", ops), []);
  assert.deepEqual(stillPending([mine], after, "me"), []);
  const edit = { id: 8, thread: "t", kind: "edit", message: "m", text: "x", seq: 1 };
  assert.deepEqual(stillPending([edit], after, "me"), []);
  assert.deepEqual(stillPending([{ ...edit, seq: 2 }], after, "me").length, 1);
  const lost = { id: 9, thread: "t", kind: "edit", message: "m", text: "x" }; // its answer was lost
  assert.deepEqual(stillPending([lost], after, "me", [op(2, "edit", { id: "m", text: "x" }, { client: "me", mutation: 9 })]), []);
  const foreign = [append(1, "z", "z", { client: "another", mutation: 7 })];
  assert.deepEqual(stillPending([mine], foldAll(before, foreign), "me", foreign), [mine]);
});

test("an answer settles each mutation, and what was refused blocks nothing", () => {
  const pending = [1, 2, 3, 4, 5, 6].map((id) => ({ id, thread: "t", kind: id === 6 ? "append" : "edit", message: `m${id}`, text: "x" }));
  const { pending: left, dead } = settle(pending, [
    { id: 1, status: "applied", seq: 10 },
    { id: 2, status: "applied" },
    { id: 3, status: "rejected", code: "role", message: "you may not" },
    { id: 4, status: "duplicate", was: "conflict", code: "deleted" },
    { id: 6, status: "rejected", code: "exists" },
  ]);
  assert.deepEqual(left.map((one) => [one.id, one.seq]), [[1, 10], [5, undefined]]);
  assert.deepEqual(dead.map((one) => [one.id, one.why]), [[3, "you may not"], [4, "deleted"]]);
});

test("a batch has at most 50 mutations and 256 KiB, in order, and a large one goes alone", () => {
  const small = Array.from({ length: 70 }, (_, id) => ({ id, text: "x", at: "now", author: "me" }));
  assert.deepEqual(batch(small).map((one) => one.id), Array.from({ length: 50 }, (_, id) => id));
  const large = [{ id: 1, text: "ä".repeat(100_000) }, { id: 2, text: "y".repeat(100_000) }, { id: 3, text: "z" }];
  assert.deepEqual(batch(large).map((one) => one.id), [1]);
  assert.deepEqual(batch([{ id: 1, seq: 3 }, { id: 2 }]).map((one) => one.id), [2]);
  assert.deepEqual(wire(small[0]), { id: 0, text: "x" });
});

test("ids are UUIDv7 and sort by time", () => {
  const made = [1, 2, 1_900_000_000_000, 1_900_000_000_001].map((now) => uuid7(now));
  for (const id of made) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual([...made].sort(), made);
  assert.equal(parseInt(uuid7(1_900_000_000_123).replaceAll("-", "").slice(0, 12), 16), 1_900_000_000_123);
  assert.notEqual(uuid7(1), uuid7(1));
});
