// SPDX-License-Identifier: Apache-2.0

import { failure, sleep } from './client';
import { session } from './session.svelte';

/** At most this share of the page's time goes into refreshing one table. */
const share = 0.03;

/**
 * Calls `load` again and again while the component lives and the link is
 * live. A load that keeps the page busy is repeated less often.
 */
export function poll(periodMs: number, load: (signal: AbortSignal) => Promise<void>): { problem: string } {
  const state = $state({ problem: '' });
  $effect(() => {
    if (session.link !== 'live') return;
    const stop = new AbortController();
    void repeat(periodMs, load, stop.signal, (problem) => (state.problem = problem));
    return () => stop.abort();
  });
  return state;
}

async function repeat(periodMs: number, load: (s: AbortSignal) => Promise<void>, stop: AbortSignal, tell: (problem: string) => void) {
  while (!stop.aborted) {
    const begun = performance.now();
    try {
      await load(stop);
      tell('');
    } catch (e) {
      if (stop.aborted) return;
      tell(failure(e).message);
    }
    const took = performance.now() - begun;
    await sleep(Math.max(periodMs, took / share / 4), stop);
  }
}
