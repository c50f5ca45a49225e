// Weeks as in ISO 8601: they begin on Monday, and week 1 is the one with the first Thursday of the year.

import { DAY, dayOf, momentOf } from './times.js';

/** The day of the week: 1 for Monday to 7 for Sunday. */
export function weekday(day) {
  return new Date(momentOf(day)).getUTCDay() || 7;
}

/** The Monday of the week of a day. */
export function mondayOf(day) {
  return dayOf(momentOf(day) - (weekday(day) - 1) * DAY);
}

/** The week of a day as { year, week }; the year is the one that the week belongs to. */
export function weekOf(day) {
  const thursday = momentOf(mondayOf(day)) + 3 * DAY;
  const year = new Date(thursday).getUTCFullYear();
  return { year, week: 1 + Math.floor((thursday - Date.UTC(year, 0, 1)) / (7 * DAY)) };
}

/** The days of a week, Monday first. */
export function daysOf(day) {
  const monday = momentOf(mondayOf(day));
  return Array.from({ length: 7 }, (_, n) => dayOf(monday + n * DAY));
}

/** Days by week, in order: [["2024-W10", ["2024-03-04", …]], …]. */
export function byWeek(days) {
  const found = new Map();
  for (const day of [...days].sort()) {
    const { year, week } = weekOf(day);
    const name = `${year}-W${String(week).padStart(2, '0')}`;
    if (!found.has(name)) found.set(name, []);
    found.get(name).push(day);
  }
  return [...found];
}
