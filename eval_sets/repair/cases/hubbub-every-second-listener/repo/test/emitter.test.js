import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Emitter, matcher } from '../lib/index.js';

describe('patterns', () => {
  it('fit parts', () => {
    assert.ok(matcher('order.*')('order.paid'));
    assert.ok(!matcher('order.*')('order.paid.late'));
    assert.ok(matcher('order.**')('order.paid.late'));
    assert.ok(!matcher('order.**')('order'));
  });

  it('do not fit what only looks alike', () => {
    assert.ok(!matcher('order.paid')('order-paid'));
    assert.ok(!matcher('order.*')('orders'));
    assert.ok(matcher('price(net)')('price(net)'));
  });
});

describe('an emitter', () => {
  it('calls listeners in their order', () => {
    const emitter = new Emitter();
    const heard = [];
    emitter.on('a.*', (value, name) => heard.push([1, value, name]));
    const stop = emitter.on('a.b', () => heard.push([2]));
    assert.equal(emitter.emit('a.b', 7), 2);
    stop();
    assert.equal(emitter.emit('a.b', 8), 1);
    assert.deepEqual(heard, [[1, 7, 'a.b'], [2], [1, 8, 'a.b']]);
  });

  it('calls all although some listen once', () => {
    const emitter = new Emitter();
    const heard = [];
    emitter.once('a', () => heard.push('once'));
    emitter.on('a', () => heard.push('always'));
    assert.equal(emitter.emit('a'), 2);
    assert.equal(emitter.emit('a'), 1);
    assert.deepEqual(heard, ['once', 'always', 'always']);
  });

  it('goes on after errors', () => {
    const emitter = new Emitter();
    let called = false;
    emitter.on('a', () => { throw new Error('oh'); });
    emitter.on('a', () => { called = true; });
    assert.throws(() => emitter.emit('a'), AggregateError);
    assert.ok(called);
  });

  it('forgets listeners', () => {
    const emitter = new Emitter();
    const listener = () => {};
    emitter.on('a', listener);
    emitter.on('b', listener);
    emitter.off(listener, 'a');
    assert.deepEqual([emitter.count('a'), emitter.count('b')], [0, 1]);
  });

  it('waits for the next event', async () => {
    const emitter = new Emitter();
    const next = emitter.next('a.*');
    emitter.emit('a.x', 1, 2);
    assert.deepEqual(await next, [1, 2]);
  });
});
