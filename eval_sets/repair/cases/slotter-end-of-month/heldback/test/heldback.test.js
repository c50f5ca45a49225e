import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Calendar, daysOf, dayOf, mondayOf, momentOf, overlap, weekOf, weekday, without } from '../src/index.js';

const DAY = 86_400_000;

test('every day of some years', () => {
  for (let moment = Date.UTC(2019, 11, 1); moment < Date.UTC(2025, 1, 1); moment += DAY) {
    const day = dayOf(moment);
    assert.equal(momentOf(day), moment);
    const days = daysOf(day);
    assert.ok(days.includes(day));
    assert.deepEqual(days.map(weekday), [1, 2, 3, 4, 5, 6, 7]);
    assert.equal(mondayOf(day), days[0]);
    const { year, week } = weekOf(day);
    assert.equal(String(year), days[3].slice(0, 4));
    const thursdays = Math.floor((momentOf(days[3]) - Date.UTC(year, 0, 1)) / DAY / 7) + 1;
    assert.equal(week, thursdays);
  }
});

test('no such day', () => {
  for (const year of ['2023', '2024', '2100']) {
    for (let month = 1; month <= 12; month += 1) {
      const text = `${year}-${String(month).padStart(2, '0')}`;
      const last = new Date(Date.UTC(Number(year), month, 0)).getUTCDate();
      assert.equal(dayOf(momentOf(`${text}-${last}`)), `${text}-${last}`);
      assert.throws(() => momentOf(`${text}-${last + 1}`), RangeError);
    }
  }
  for (const day of ['2024-00-10', '2024-01-00', '2024-01-1', 'x2024-01-01']) assert.throws(() => momentOf(day), RangeError);
});

test('spans that touch have nothing in common', () => {
  for (let a = 0; a < 5; a += 1) for (let b = a; b < 6; b += 1) {
    for (let c = 0; c < 5; c += 1) for (let d = c + 1; d < 6; d += 1) {
      if (b === a) continue;
      let common = false;
      for (let n = 0; n < 6; n += 1) common ||= n >= a && n < b && n >= c && n < d;
      assert.equal(overlap({ from: a, to: b }, { from: c, to: d }), common);
      const left = without({ from: a, to: b }, [{ from: c, to: d }]);
      const units = [];
      for (const { from, to } of left) for (let n = from; n < to; n += 1) units.push(n);
      assert.deepEqual(units, [0, 1, 2, 3, 4, 5].filter((n) => n >= a && n < b && !(n >= c && n < d)));
    }
  }
});

test('slots are what is free', () => {
  for (const step of [5, 10, 15, 20, 30]) for (const gap of [0, 5]) {
    const calendar = new Calendar({ opens: '08:10', closes: '12:05', step, gap });
    calendar.book('2024-03-10', '08:10', 13);
    calendar.book('2024-03-10', '09:00', 60);
    calendar.book('2024-03-10', '10:07', 31);
    for (const minutes of [5, 15, 45, 90]) {
      const expected = [];
      for (let at = 0; at < 24 * 60; at += step) {
        const time = `${String(Math.floor(at / 60)).padStart(2, '0')}:${String(at % 60).padStart(2, '0')}`;
        if (calendar.isFree('2024-03-10', time, minutes)) expected.push(time);
      }
      assert.deepEqual(calendar.slots('2024-03-10', minutes), expected);
    }
  }
});

test('a full day can be booked to the minute', () => {
  const calendar = new Calendar({ opens: '09:00', closes: '10:00', step: 10 });
  for (const time of calendar.slots('2024-03-10', 10)) calendar.book('2024-03-10', time, 10);
  assert.equal(calendar.usage()['2024-03-10'], 60);
  assert.deepEqual(calendar.slots('2024-03-10', 5), []);
  assert.equal(calendar.first(['2024-03-10'], 5), null);
});
