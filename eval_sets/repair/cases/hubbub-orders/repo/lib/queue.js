// Runs asynchronous jobs, some at a time, in the order in which they were added.

export class Queue {
  #waiting = [];
  #running = 0;
  #idle = [];

  constructor(atOnce = 1) {
    if (!(atOnce >= 1)) throw new RangeError('run 1 job or more at once');
    this.atOnce = atOnce;
  }

  /** Adds a job. The promise is settled as the job's is; a job that fails does not keep others from running. */
  add(job) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      this.#start();
    });
  }

  /** How many jobs wait or run. */
  get size() {
    return this.#waiting.length + this.#running;
  }

  /** Fulfilled once nothing waits or runs. */
  idle() {
    if (this.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #start() {
    while (this.#running < this.atOnce && this.#waiting.length > 0) {
      this.#running += 1;
      this.#run(this.#waiting.shift());
    }
  }

  async #run({ job, resolve, reject }) {
    try {
      resolve(await job());
    } catch (error) {
      reject(error);
    } finally {
      this.#running -= 1;
      this.#start();
      if (this.size === 0) {
        for (const done of this.#idle.splice(0)) done();
      }
    }
  }
}
