// Keeps events until a sink has taken them, in their order.

import { Queue } from './queue.js';

export class Bridge {
  #queue = new Queue(1);
  #stop;

  /** `send(name, values)` is a function that returns a promise; what fails is sent again, `tries` times in all. */
  constructor(emitter, pattern, send, { tries = 3 } = {}) {
    this.sent = 0;
    this.lost = [];
    this.#stop = emitter.on(pattern, (...all) => {
      const name = all.pop();
      this.#queue.add(() => this.#deliver(send, name, all, tries));
    });
  }

  /** Takes no more events, and waits until all are sent or lost. */
  async close() {
    this.#stop();
    await this.#queue.idle();
  }

  async #deliver(send, name, values, tries) {
    for (let number = 1; number <= tries; number += 1) {
      try {
        await send(name, values);
        this.sent += 1;
        return;
      } catch (error) {
        if (number === tries) this.lost.push({ name, values, error });
      }
    }
  }
}
