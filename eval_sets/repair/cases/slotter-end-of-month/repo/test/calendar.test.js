import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Calendar, without } from '../src/index.js';

const DAY = '2024-03-09';

test('what is left', () => {
  const left = without({ from: 0, to: 10 }, [{ from: 6, to: 8 }, { from: 2, to: 3 }, { from: 20, to: 30 }]);
  assert.deepEqual(left, [{ from: 0, to: 2 }, { from: 3, to: 6 }, { from: 8, to: 10 }]);
});

test('slots of a day', () => {
  const calendar = new Calendar({ opens: '09:00', closes: '11:00', step: 30 });
  assert.deepEqual(calendar.slots(DAY, 60), ['09:00', '09:30', '10:00']);
  calendar.book(DAY, '09:30', 30);
  assert.deepEqual(calendar.slots(DAY, 30), ['09:00', '10:00', '10:30']);
});

test('slots after a booking that ends at an odd time', () => {
  const calendar = new Calendar({ opens: '09:00', closes: '10:00', step: 15 });
  calendar.book(DAY, '09:00', 20);
  assert.deepEqual(calendar.slots(DAY, 15), ['09:30', '09:45']);
});

test('one after the other', () => {
  const calendar = new Calendar();
  calendar.book(DAY, '10:00', 60);
  assert.ok(calendar.isFree(DAY, '11:00', 60));
  assert.ok(calendar.isFree(DAY, '09:00', 60));
  assert.ok(!calendar.isFree(DAY, '10:59', 5));
});

test('a gap', () => {
  const calendar = new Calendar({ gap: 10 });
  const booking = calendar.book(DAY, '10:00', 60);
  assert.ok(!calendar.isFree(DAY, '11:05', 30));
  assert.ok(calendar.isFree(DAY, '11:10', 30));
  calendar.cancel(booking);
  assert.deepEqual(calendar.usage(), {});
});

test('outside of the hours', () => {
  const calendar = new Calendar();
  assert.throws(() => calendar.book(DAY, '16:30', 45), RangeError);
  assert.throws(() => new Calendar({ opens: '18:00' }), RangeError);
  calendar.book(DAY, '16:30', 30);
  assert.deepEqual(calendar.first([DAY, '2024-03-10'], 480), { day: '2024-03-10', time: '09:00' });
  assert.deepEqual(calendar.usage(), { [DAY]: 30 });
});
