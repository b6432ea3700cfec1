// SPDX-License-Identifier: Apache-2.0

import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { untrack } from 'svelte';
import type { Record as Rec } from '../api/skep/v1/record_pb';
import type { FilterInit } from '../model/filter';
import { millis } from '../model/format';
import { type Period, type Window, windowOf } from '../model/period';
import { moveOn, ofCounts, type Timeline } from '../model/timeline';
import { agent, failure, pause, searchTimeout, sleep } from './client';
import { key } from './feed.svelte';
import { session } from './session.svelte';

/** Records that the page holds of a period, the newest ones. */
export const maxRows = 5000;
/** Rows are drawn again at most this often, however fast records come. */
const redrawMs = 250;
/** Records that come later than this after they happened are counted when the page is loaded again. */
const lateMs = 5000;

/** Numbers begin anew with each boot. */
const identity = (r: Rec) => `${r.bootId}.${key(r)}`;

export interface Question {
  period: Period;
  filter: FilterInit;
}

/**
 * What a view shows of a period: how much there was of everything, counted in
 * the agent, and the newest records themselves. Of a period that ends now both
 * go on; the records that come are sampled by the agent, the counts are not.
 */
export class Past {
  timeline = $state.raw<Timeline>();
  /** Oldest first, at most maxRows. */
  records = $state.raw<Rec[]>([]);
  window = $state.raw<Window & { step: number }>(windowOf({ span: '' }, Date.now()));
  loading = $state(true);
  /** The agent has more records of the period than the page holds. */
  cut = $state(false);
  problem = $state('');
  countProblem = $state('');
  /** Rows that move under the pointer cannot be clicked. */
  held = $state(false);
  /** Records that came while the rows stood still. */
  waiting = $state(0);

  #kept: Rec[] = [];
  #seen = new Set<string>();
  #fresh = 0;
  /** Time of the newest record that the page does not hold any more, or never did. */
  #dropped = 0;
  /** Up to when all steps have been counted. */
  #counted = 0;

  hold(on: boolean) {
    this.held = on;
    if (!on) this.#show();
  }

  /** Runs until stop; a live period ends with it. */
  async run(q: Question, stop: AbortSignal) {
    this.#begin(q);
    const live = !q.period.fixed;
    const ends = [session.feed.holds(() => this.records)];
    if (live) {
      session.select(q.filter);
      ends.push(session.feed.listen((news) => this.#take(news)), () => session.select({}));
      const timer = setInterval(() => this.#show(), redrawMs);
      ends.push(() => clearInterval(timer));
    }
    stop.addEventListener('abort', () => ends.forEach((end) => end()));
    await Promise.all([this.#count(q, stop), this.#load(q, stop)]);
  }

  #begin(q: Question) {
    this.window = windowOf(q.period, session.now());
    this.#kept = this.records = [];
    this.#seen.clear();
    this.#fresh = this.#dropped = this.#counted = this.waiting = 0;
    this.timeline = undefined;
    this.problem = this.countProblem = '';
    this.cut = false;
    this.loading = true;
  }

  async #load({ period, filter }: Question, signal: AbortSignal) {
    const { from, until } = this.window;
    const upTo = period.fixed && timestampFromMs(until);
    try {
      for await (const m of agent.observe({ filter, from: timestampFromMs(from), until: upTo, last: maxRows }, { signal, timeoutMs: searchTimeout })) {
        this.#take(m.records);
        await pause();
      }
    } catch (e) {
      if (!signal.aborted) this.problem = failure(e).message;
    }
    if (signal.aborted) return;
    this.loading = false;
    this.#kept.sort((a, b) => millis(a.time) - millis(b.time));
    // The agent was asked for so many: there may be older ones.
    if (this.#kept.length >= maxRows) this.#dropped = millis(this.#kept[0]!.time);
    this.#fresh++;
    this.#show(true);
  }

  #take(news: Rec[]) {
    for (const r of news) {
      const name = identity(r);
      // A stream begins with its last records, however old they are.
      if ((r.seq !== 0n && this.#seen.has(name)) || millis(r.time) < this.window.from) continue;
      this.#seen.add(name);
      this.#kept.push(r);
      this.#fresh++;
    }
    // Not at each record: it is a copy of all.
    if (this.#kept.length > maxRows * 1.2) this.#trim();
  }

  /** Keeps the newest of the window. What the window has left behind is not cut. */
  #trim() {
    const { from } = this.window;
    const inside = this.#kept.filter((r) => millis(r.time) >= from);
    const gone = inside.length - maxRows;
    if (gone > 0) this.#dropped = millis(inside[gone - 1]!.time);
    this.#kept = inside.slice(-maxRows);
    this.#seen = new Set(this.#kept.map(identity));
    this.cut = this.#dropped >= from;
  }

  #show(anyway = false) {
    if (!this.#fresh || this.loading) return;
    if (this.held && !anyway && this.records.length) {
      this.waiting = this.#fresh;
      return;
    }
    this.#trim();
    this.#fresh = this.waiting = 0;
    this.records = [...this.#kept];
  }

  async #count({ period, filter }: Question, stop: AbortSignal) {
    while (!stop.aborted) {
      const now = session.now();
      const w = windowOf(period, now);
      try {
        const old = this.timeline;
        // Of a window that moves only what is new is counted again.
        const begin = old && old.step === w.step && this.#counted > w.from ? w.from + Math.floor((this.#counted - lateMs - w.from) / w.step) * w.step : w.from;
        const from = Math.max(w.from, begin);
        const counts = await agent.countRecords(
          { filter, from: timestampFromMs(from), until: timestampFromMs(w.until), step: { seconds: BigInt(Math.floor(w.step / 1000)), nanos: (w.step % 1000) * 1e6 } },
          { signal: stop, timeoutMs: searchTimeout },
        );
        const fresh = ofCounts(counts, from, w.step);
        this.timeline = old && from > w.from ? moveOn(old, fresh, w.from, Math.ceil((w.until - w.from) / w.step)) : fresh;
        this.window = w;
        this.#counted = now;
        this.countProblem = '';
      } catch (e) {
        if (stop.aborted) return;
        this.countProblem = failure(e).message;
      }
      if (period.fixed && !this.countProblem) return;
      await sleep(Math.min(30_000, Math.max(2000, w.step / 5)), stop);
    }
  }
}

/** The past that a component asks for, for as long as it lives and the link is live. */
export function past(question: () => Question | undefined): Past {
  const p = new Past();
  // As text: an equal question is no reason to begin anew.
  const asked = $derived(JSON.stringify(question()) ?? '');
  const live = $derived(session.link === 'live');
  $effect(() => {
    if (!live || !asked) return;
    const stop = new AbortController();
    untrack(() => void p.run(JSON.parse(asked) as Question, stop.signal));
    return () => stop.abort();
  });
  return p;
}
