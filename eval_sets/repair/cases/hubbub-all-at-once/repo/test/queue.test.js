import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { Bridge, Emitter, Queue } from '../lib/index.js';

describe('a queue', () => {
  it('runs one job after the other', async () => {
    const queue = new Queue();
    const said = [];
    const first = queue.add(async () => { await sleep(15); said.push(1); return 'a'; });
    const second = queue.add(async () => { said.push(2); return 'b'; });
    assert.equal(queue.size, 2);
    assert.deepEqual(await Promise.all([first, second]), ['a', 'b']);
    assert.deepEqual(said, [1, 2]);
  });

  it('runs some at once', async () => {
    const queue = new Queue(2);
    let now = 0;
    let most = 0;
    for (let n = 0; n < 5; n += 1) {
      queue.add(async () => {
        now += 1;
        most = Math.max(most, now);
        await sleep(2);
        now -= 1;
      });
    }
    await queue.idle();
    assert.equal(most, 2);
  });

  it('goes on after a job that failed', async () => {
    const queue = new Queue();
    const wrong = queue.add(async () => { throw new Error('oh'); });
    const right = queue.add(() => 5);
    await assert.rejects(wrong, /oh/);
    assert.equal(await right, 5);
    await queue.idle();
  });
});

describe('a bridge', () => {
  it('sends in order and again', async () => {
    const emitter = new Emitter();
    const got = [];
    let busy = true;
    const bridge = new Bridge(emitter, 'x.**', async (name, values) => {
      await sleep(values[0] === 1 ? 10 : 0);
      if (values[0] === 2 && busy) {
        busy = false;
        throw new Error('busy');
      }
      got.push([name, ...values]);
    });
    for (const n of [1, 2, 3]) emitter.emit('x.y', n);
    await bridge.close();
    assert.deepEqual(got, [['x.y', 1], ['x.y', 2], ['x.y', 3]]);
    assert.deepEqual([bridge.sent, bridge.lost.length], [3, 0]);
  });
});
