// Tells listeners about events with names such as `order.paid`.

import { matcher } from './patterns.js';

export class Emitter {
  #listeners = [];

  /** Listens to a name or pattern. Returns a function that ends it. */
  on(pattern, listener, { once = false } = {}) {
    const entry = { pattern, matches: matcher(pattern), listener, once };
    this.#listeners.push(entry);
    return () => this.#remove(entry);
  }

  /** Listens to the first event alone. */
  once(pattern, listener) {
    return this.on(pattern, listener, { once: true });
  }

  /** Ends all that was begun with this listener, for one pattern or for all. */
  off(listener, pattern) {
    this.#listeners = this.#listeners.filter(
      (entry) => entry.listener !== listener || (pattern !== undefined && entry.pattern !== pattern),
    );
  }

  /** Calls the listeners in their order. Returns how many; errors do not keep others from being called. */
  emit(name, ...values) {
    const failed = [];
    let count = 0;
    for (const entry of [...this.#listeners]) {
      if (!entry.matches(name)) continue;
      if (entry.once) this.#remove(entry);
      count += 1;
      try {
        entry.listener(...values, name);
      } catch (error) {
        failed.push(error);
      }
    }
    if (failed.length > 0) throw new AggregateError(failed, `${failed.length} listeners of ${name} failed`);
    return count;
  }

  /** How many listeners a name has. */
  count(name) {
    return this.#listeners.filter((entry) => entry.matches(name)).length;
  }

  /** The values of the next event. */
  next(pattern) {
    return new Promise((resolve) => {
      this.once(pattern, (...values) => resolve(values.slice(0, -1)));
    });
  }

  #remove(entry) {
    const at = this.#listeners.indexOf(entry);
    if (at >= 0) this.#listeners.splice(at, 1);
  }
}
