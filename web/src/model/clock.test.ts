// SPDX-License-Identifier: Apache-2.0

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Clock } from './clock';

beforeEach(() => void vi.useFakeTimers({ now: 1000e3 }));
afterEach(() => void vi.useRealTimers());

// The agent's clock is an hour ahead; an answer takes a while on its way there and back.
function answer(c: Clock, there: number, back: number) {
  const asked = Date.now();
  vi.advanceTimersByTime(there);
  const agent = Date.now() + 3600e3;
  vi.advanceTimersByTime(back);
  c.heard(agent, asked, Date.now());
}

const error = (c: Clock) => c.now() - (Date.now() + 3600e3);

test('the clock is not behind the agent’s, whichever way was slow', () => {
  for (const [there, back] of [[0, 5000], [5000, 0], [20, 30]] as const) {
    const c = new Clock();
    answer(c, there, back);
    expect(error(c)).toBe(there);
  }
});

test('the quickest answer counts, for a while', () => {
  const c = new Clock();
  answer(c, 3000, 0);
  answer(c, 2, 1);
  answer(c, 500, 500);
  expect(error(c)).toBe(2);
  vi.advanceTimersByTime(30e3);
  answer(c, 500, 500);
  expect(error(c)).toBe(500);
});
