// What is read from texts that people write: files that they mention, people with whom they share.
import assert from "node:assert/strict";
import test from "node:test";

globalThis.document = { querySelector: () => null };
const { mentionsIn } = await import("../../../../gateway/web/static/mentions.mjs");
const { grantsIn } = await import("../../../../gateway/web/static/share.mjs");

test("a path with a line or lines is a mention, once, and what only looks like one is not", () => {
  const found = mentionsIn("see shop/total.py:3-9, src/a.b/x.test.mjs:12. Again shop/total.py:3-9 (setup.cfg:1)");
  assert.deepEqual(found.map(({ path, lines }) => [path, ...lines]), [["shop/total.py", 3, 9], ["src/a.b/x.test.mjs", 12, 12], ["setup.cfg", 1, 1]]);
  assert.deepEqual(mentionsIn("http://example.org:80/x at 12:30, total.py, a.py:0, a.py:9-3, ratio 1.5:2, localhost:8080"), []);
  assert.equal(mentionsIn(Array.from({ length: 80 }, (_, n) => `f${n}.py:1`).join(" ")).length, 50);
});

test("people are listed with their roles, and a line that cannot be read is named", () => {
  assert.deepEqual(grantsIn("ada@example.org writer\n\n token:7 reader "), { "user:ada@example.org": "writer", "token:7": "reader" });
  assert.throws(() => grantsIn("ada boss"), /ada boss/);
});
