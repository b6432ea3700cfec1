// SPDX-License-Identifier: Apache-2.0

import { Code } from '@connectrpc/connect';
import type { GetStatusResponse } from '../api/skep/v1/agent_pb';
import { Clock } from '../model/clock';
import type { FilterInit } from '../model/filter';
import { millis } from '../model/format';
import { agent, callTimeout, failure, sleep } from './client';
import { Feed } from './feed.svelte';
import { between, extend, type Point } from './rates';

/** What the page asks the agent to sample the stream down to. */
export const maxRate = 200;

export type Link = 'connecting' | 'live' | 'down' | 'failing' | 'denied' | 'paused';

/**
 * The page's one line to the agent: a status call each second, which also is
 * its heartbeat, and one stream. Both end while the tab is hidden and start
 * again by themselves.
 */
class Session {
  link = $state<Link>('connecting');
  /** Why the link is down, or why the stream is while the link is up. */
  problem = $state('');
  streamProblem = $state('');
  status = $state.raw<GetStatusResponse>();
  history = $state.raw<Point[]>([]);
  feed = new Feed();

  #run: AbortController | undefined;
  #stream: AbortController | undefined;
  #filter: FilterInit = {};
  #clock = new Clock();

  start() {
    document.addEventListener('visibilitychange', () => (document.hidden ? this.#pause() : this.#resume()));
    if (!document.hidden) this.#resume();
    else this.link = 'paused';
  }

  /** What the stream brings. The agent filters, so sampling spares what matters. */
  select(filter: FilterInit) {
    if (JSON.stringify(filter) === JSON.stringify(this.#filter)) return;
    this.#filter = filter;
    this.feed.clear();
    this.#stream?.abort();
  }

  /** The agent's time of day in ms since 1970: periods are about its records. */
  now(): number {
    return this.#clock.now();
  }

  #pause() {
    this.#run?.abort();
    this.#run = undefined;
    if (this.link !== 'denied') this.link = 'paused';
  }

  #resume() {
    if (this.#run || this.link === 'denied') return;
    this.#run = new AbortController();
    this.link = 'connecting';
    void this.#watch(this.#run.signal);
    void this.#follow(this.#run.signal);
  }

  async #watch(stop: AbortSignal) {
    while (!stop.aborted) {
      const begun = performance.now();
      const asked = Date.now();
      try {
        const now = await agent.getStatus({}, { signal: stop, timeoutMs: callTimeout });
        if (stop.aborted) return;
        this.history = extend(this.history, between(this.status, now));
        this.status = now;
        this.#clock.heard(millis(now.time), asked, Date.now());
        if (this.link !== 'live') this.link = 'live';
      } catch (e) {
        if (!stop.aborted) this.#fail(e);
      }
      this.feed.measure();
      await sleep(1000 - Math.min(900, performance.now() - begun), stop);
    }
  }

  #fail(e: unknown) {
    const f = failure(e);
    this.problem = f.message;
    if (f.code === Code.Unauthenticated) {
      this.#run?.abort();
      this.link = 'denied';
    } else {
      this.link = f.code === Code.Unavailable || f.code === Code.DeadlineExceeded ? 'down' : 'failing';
    }
  }

  async #follow(stop: AbortSignal) {
    let wait = 0;
    while (!stop.aborted) {
      this.#stream = new AbortController();
      const signal = AbortSignal.any([stop, this.#stream.signal]);
      let past = true;
      try {
        for await (const m of agent.observe({ filter: this.#filter, last: 200, follow: true, maxRate }, { signal })) {
          past &&= !m.live;
          wait = 0;
          this.streamProblem = '';
          this.feed.push(m, past);
        }
      } catch (e) {
        if (!signal.aborted) this.streamProblem = failure(e).message;
      }
      if (this.#stream.signal.aborted) continue; // Another filter: at once.
      wait = Math.min(5000, wait * 2 || 500);
      await sleep(wait, AbortSignal.any([stop, this.#stream.signal]));
    }
  }
}

export const session = new Session();
