import assert from 'node:assert/strict';
import test from 'node:test';
import { nextStep, priceFor, scaleOf } from '../src/index.js';

test('prices of a scale', () => {
  const scale = scaleOf({ 1: 500, 5: 450, 8: 400 });
  assert.deepEqual([1, 4, 5, 7, 8, 99].map((n) => priceFor(scale, n)), [500, 500, 450, 450, 400, 400]);
});

test('a scale for resellers', () => {
  const scale = scaleOf({ 1: 500, 10: 450, 100: 400, 25: 430 });
  assert.deepEqual([1, 9, 10, 24, 25, 99, 100].map((n) => priceFor(scale, n)), [500, 500, 450, 450, 430, 430, 400]);
});

test('the next step', () => {
  const scale = scaleOf({ 1: 500, 5: 450 });
  assert.deepEqual(nextStep(scale, 3), { more: 2, price: 450 });
  assert.equal(nextStep(scale, 5), null);
});

test('what is no scale', () => {
  assert.throws(() => scaleOf({ 2: 1 }), RangeError);
  assert.throws(() => scaleOf({}), RangeError);
});
