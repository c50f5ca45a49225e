import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { Bridge, Emitter, Queue, matcher } from '../lib/index.js';

describe('held back', () => {
  it('takes every other letter as it is', () => {
    for (const letter of '^$|?+()[]{}\\-/!') {
      const name = `a${letter}b.c`;
      assert.ok(matcher(name)(name), name);
      assert.ok(matcher(`a${letter}b.*`)(name), name);
      assert.ok(!matcher(name)(`a${letter}bXc`), name);
      assert.ok(!matcher(name)('ab.c'), name);
    }
    assert.ok(!matcher('a.b')('aXb'));
    assert.ok(!matcher('a*.b')('aaa.b'));
    assert.ok(matcher('a*.b')('a*.b'));
    assert.ok(!matcher('**.b')('x.y.b'));
    assert.throws(() => matcher(''), TypeError);
  });

  it('removes listeners while they are called', () => {
    const emitter = new Emitter();
    const heard = [];
    const stops = [];
    for (const n of [0, 1, 2, 3, 4]) {
      stops.push(emitter.on('a', () => {
        heard.push(n);
        if (n % 2 === 0) stops[n]();
      }));
    }
    assert.equal(emitter.emit('a'), 5);
    assert.equal(emitter.emit('a'), 2);
    assert.deepEqual(heard, [0, 1, 2, 3, 4, 1, 3]);
  });

  it('listens once, many times', () => {
    const emitter = new Emitter();
    const heard = [];
    for (const n of [1, 2, 3, 4]) emitter.once('a', () => heard.push(n));
    emitter.on('a', () => heard.push('x'));
    emitter.once('b', () => emitter.emit('b'));
    assert.deepEqual([emitter.emit('a'), emitter.emit('a'), emitter.emit('b')], [5, 1, 1]);
    assert.deepEqual(heard, [1, 2, 3, 4, 'x', 'x']);
  });

  it('does not call who began to listen meanwhile', () => {
    const emitter = new Emitter();
    let count = 0;
    emitter.on('a', () => emitter.on('a', () => { count += 1; }));
    emitter.emit('a');
    assert.equal(count, 0);
    emitter.emit('a');
    assert.equal(count, 1);
  });

  it('keeps to its limit whatever jobs do', async () => {
    for (const atOnce of [1, 2, 3]) {
      const queue = new Queue(atOnce);
      const begun = [];
      let now = 0;
      const results = Array.from({ length: 9 }, (_, n) => queue.add(async () => {
        begun.push(n);
        now += 1;
        assert.ok(now <= atOnce);
        await sleep((n * 7) % 4);
        now -= 1;
        if (n % 4 === 3) throw new Error(`job ${n}`);
        return n;
      }));
      const settled = await Promise.allSettled(results);
      await queue.idle();
      assert.deepEqual(begun, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
      assert.deepEqual(settled.map((one) => one.value ?? one.reason.message), [0, 1, 2, 'job 3', 4, 5, 6, 'job 7', 8]);
      assert.equal(queue.size, 0);
    }
  });

  it('is idle only once the last job has ended', async () => {
    const queue = new Queue();
    let done = false;
    queue.add(async () => { await sleep(10); done = true; });
    await queue.idle();
    assert.ok(done);
    const wrong = queue.add(() => { throw new Error('at once'); });
    await assert.rejects(wrong, /at once/);
  });

  it('loses what fails too often', async () => {
    const emitter = new Emitter();
    let tries = 0;
    const bridge = new Bridge(emitter, 'a', async (name, [n]) => {
      tries += 1;
      await sleep(1);
      if (n === 1) throw new Error('never');
    }, { tries: 4 });
    emitter.emit('a', 1);
    emitter.emit('a', 2);
    await bridge.close();
    emitter.emit('a', 3);
    assert.deepEqual([tries, bridge.sent, bridge.lost.map(({ values }) => values)], [5, 1, [[1]]]);
  });
});
