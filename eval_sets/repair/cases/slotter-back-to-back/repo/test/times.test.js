import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byWeek, dayOf, daysOf, minutesOf, mondayOf, momentOf, timeOf, weekOf, weekday } from '../src/index.js';

test('there and back', () => {
  const moment = momentOf('2024-02-29', '23:59');
  assert.deepEqual([dayOf(moment), timeOf(moment)], ['2024-02-29', '23:59']);
});

test('the last day of a month', () => {
  for (const day of ['2024-01-31', '2024-12-31', '2023-02-28', '2024-03-31']) assert.equal(dayOf(momentOf(day)), day);
});

test('days that do not exist', () => {
  for (const day of ['2023-02-29', '2024-13-01', '2024-04-31', '24-1-1']) assert.throws(() => momentOf(day), RangeError);
  assert.throws(() => momentOf('2024-01-01', '24:00'), RangeError);
});

test('lengths of time', () => {
  assert.deepEqual(['1 h 30 min', '45 min', '2h'].map(minutesOf), [90, 45, 120]);
  for (const text of ['', '5', '1 d']) assert.throws(() => minutesOf(text), RangeError);
});

test('weeks', () => {
  assert.equal(weekday('2024-03-04'), 1);
  assert.equal(mondayOf('2024-03-09'), '2024-03-04');
  assert.deepEqual(weekOf('2024-12-31'), { year: 2025, week: 1 });
  assert.deepEqual(weekOf('2021-01-02'), { year: 2020, week: 53 });
});

test('the weekend', () => {
  assert.equal(weekday('2024-03-10'), 7);
  assert.equal(mondayOf('2024-03-10'), '2024-03-04');
  assert.equal(daysOf('2024-03-10').at(-1), '2024-03-10');
});

test('days by week', () => {
  assert.deepEqual(byWeek(['2024-03-09', '2024-03-04', '2023-12-31']), [
    ['2023-W52', ['2023-12-31']], ['2024-W10', ['2024-03-04', '2024-03-09']],
  ]);
});
