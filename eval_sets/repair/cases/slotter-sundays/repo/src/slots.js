// What of somebody's time is free, and where something fits in. Spans are { from, to } in milliseconds; `to` is not part.

import { MINUTE, dayOf, momentOf, timeOf } from './times.js';

/** Whether two spans have any time in common. */
export function overlap(one, other) {
  return one.from < other.to && other.from < one.to;
}

/** What is left of a span without others. */
export function without(span, taken) {
  const free = [];
  let { from } = span;
  for (const one of taken.filter((other) => overlap(span, other)).sort((a, b) => a.from - b.from)) {
    if (one.from > from) free.push({ from, to: one.from });
    from = Math.max(from, one.to);
  }
  if (from < span.to) free.push({ from, to: span.to });
  return free;
}

/** A calendar of one person or room with hours of opening. */
export class Calendar {
  #bookings = [];

  /** `step` is to what minutes of the clock slots begin; `gap` how many minutes stay free between bookings. */
  constructor({ opens = '09:00', closes = '17:00', step = 15, gap = 0 } = {}) {
    if (opens >= closes) throw new RangeError('it closes before it opens');
    Object.assign(this, { opens, closes, step, gap });
  }

  get bookings() {
    return [...this.#bookings].sort((one, other) => one.from - other.from);
  }

  /** Whether a booking at that time would be possible. */
  isFree(day, time, minutes) {
    const from = momentOf(day, time);
    const to = from + minutes * MINUTE;
    if (from < momentOf(day, this.opens) || to > momentOf(day, this.closes)) return false;
    return this.#blocked().every((span) => !overlap(span, { from, to }));
  }

  /** Books, and returns the booking. Throws RangeError where it is not possible. */
  book(day, time, minutes, title = '') {
    if (!this.isFree(day, time, minutes)) throw new RangeError(`${day} ${time} is not free for ${minutes} minutes`);
    const from = momentOf(day, time);
    const booking = { from, to: from + minutes * MINUTE, title };
    this.#bookings.push(booking);
    return booking;
  }

  cancel(booking) {
    this.#bookings = this.#bookings.filter((one) => one !== booking);
  }

  /** The times of a day at which something of so many minutes can begin. */
  slots(day, minutes) {
    const open = { from: momentOf(day, this.opens), to: momentOf(day, this.closes) };
    const found = [];
    for (const { from, to } of without(open, this.#blocked())) {
      const every = this.step * MINUTE;
      for (let at = Math.ceil(from / every) * every; at + minutes * MINUTE <= to; at += every) found.push(timeOf(at));
    }
    return found;
  }

  /** The first slot on one of the days, as { day, time }; null if there is none. */
  first(days, minutes) {
    for (const day of days) {
      const [time] = this.slots(day, minutes);
      if (time !== undefined) return { day, time };
    }
    return null;
  }

  /** Minutes that are booked, by day. */
  usage() {
    const found = {};
    for (const { from, to } of this.bookings) found[dayOf(from)] = (found[dayOf(from)] ?? 0) + (to - from) / MINUTE;
    return found;
  }

  #blocked() {
    return this.#bookings.map(({ from, to }) => ({ from: from - this.gap * MINUTE, to: to + this.gap * MINUTE }));
  }
}
