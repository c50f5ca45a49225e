// Days and times as texts, all in UTC: "2024-03-09" and "14:30".

export const MINUTE = 60_000;
export const DAY = 24 * 60 * MINUTE;

/** The moment of a day, and of a time of it, in milliseconds. Throws RangeError for a day that does not exist. */
export function momentOf(day, time = '00:00') {
  const parts = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day);
  const clock = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(time);
  if (!parts || !clock) throw new RangeError(`not a day and time: ${day} ${time}`);
  const [year, month, date] = parts.slice(1).map(Number);
  const moment = Date.UTC(year, month - 1, date, Number(clock[1]), Number(clock[2]));
  if (dayOf(moment) !== day) throw new RangeError(`there is no ${day}`);
  return moment;
}

/** The day of a moment. */
export function dayOf(moment) {
  return new Date(moment).toISOString().slice(0, 10);
}

/** The time of a moment. */
export function timeOf(moment) {
  return new Date(moment).toISOString().slice(11, 16);
}

/** "1 h 30 min", "45 min" or "2 h" in minutes. */
export function minutesOf(text) {
  const match = /^(?:(\d+) ?h)? ?(?:(\d+) ?min)?$/.exec(text.trim());
  if (!match || match[0] === '') throw new RangeError(`not a length of time: ${text}`);
  return Number(match[1] ?? 0) * 60 + Number(match[2] ?? 0);
}
