// SPDX-License-Identifier: Apache-2.0

/** How long an estimate is kept although slower answers came since: clocks drift, and are set. */
const keepFor = 30e3;

/**
 * The agent's clock as this browser knows it from answers that hold the agent's
 * time. An answer says what time it was at some moment since it was asked for:
 * the quickest says it best. The error is on one side, the clock is never behind
 * the agent's, so that what has happened already lies before now.
 */
export class Clock {
  #ahead = 0;
  #took = Infinity;
  #at = -Infinity;

  /** An answer with the agent's time, when it was asked for and when it came by this browser's clock; all in ms. */
  heard(agent: number, asked: number, came: number) {
    const took = came - asked;
    if (took > this.#took && Math.abs(came - this.#at) < keepFor) return;
    this.#ahead = agent - asked;
    this.#took = took;
    this.#at = came;
  }

  /** The agent's time of day in ms since 1970. */
  now(): number {
    return Date.now() + this.#ahead;
  }
}
