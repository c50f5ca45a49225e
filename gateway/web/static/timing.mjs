// When a page that nobody looks at asks for news: the formula of `threads/client/timing.py`. Pure functions.

const BUSY_SECONDS = 5;
const SPAN = 12; // idle, 12 times less often
const HALF_LIFE_SECONDS = 30;

/** Seconds until the next poll for an activity from 0 to 1, with 20% of jitter. */
export function pollInterval(activity, random) {
  return BUSY_SECONDS * SPAN ** (1 - Math.min(1, Math.max(0, activity))) * (0.8 + 0.4 * random);
}

/** How busy a page is: its own and others' changes, what waits to be sent, a turn that runs. It decays. */
export class Activity {
  constructor() {
    this.level = 0;
    this.at = 0;
  }

  note(seconds, amount) {
    this.level = Math.min(1, this.now(seconds) + amount);
    this.at = seconds;
  }

  now(seconds, queued = 0, turn = false) {
    const decayed = this.level * 0.5 ** (Math.max(0, seconds - this.at) / HALF_LIFE_SECONDS);
    return Math.min(1, decayed + (turn ? 0.5 : 0) + Math.min(0.5, queued / 20));
  }
}
