// SPDX-License-Identifier: Apache-2.0

import type { ObserveResponse } from '../api/skep/v1/agent_pb';
import type { Record as Rec } from '../api/skep/v1/record_pb';
import { millis } from '../model/format';

/** Records that the page keeps. */
const capacity = 1000;
/** Records that may wait for a frame; a stream without sampling fills it first. */
const backlog = 5000;
/** The window of the shown and sampled rates. */
const windowMs = 2000;

/** Names a record of a boot. Losses of this stream alone have no number. */
export function key(r: Rec): string {
  return `${r.kind}.${r.seq}`;
}

/** Names a record in a link so that it can be found in the past: also its pid, and its time in ms. */
export function recordName(r: Rec): string {
  return `${key(r)}.${r.process?.pid ?? 0}.${Math.floor(millis(r.time))}`;
}

let arrivals = 0;
const arrived = new WeakMap<Rec, string>();

/** An id for a list of records, unique whatever the agent sends. */
export function arrival(r: Rec): string {
  let id = arrived.get(r);
  if (!id) arrived.set(r, (id = String(++arrivals)));
  return id;
}

interface Arrival {
  at: number;
  shown: number;
  sampled: number;
}

/**
 * The latest records. They arrive whenever the network likes; the page sees
 * them once per animation frame, however many there are.
 */
export class Feed {
  /** Oldest first, at most `capacity`; a new array for each frame with news. */
  records = $state.raw<Rec[]>([]);
  /** Records a second that reached the page, and that the agent left out. */
  shownRate = $state(0);
  sampledRate = $state(0);
  /** Records that the agent left out since the stream has its filter. */
  sampledOut = $state(0);
  paused = $state(false);
  /** Rows that move under the pointer cannot be clicked. */
  held = $state(false);

  #kept: Rec[] = [];
  #pending: Rec[] = [];
  #frame = 0;
  #arrivals: Arrival[] = [];
  #held = new Set<() => Rec[]>();
  #listeners = new Set<(news: Rec[]) => void>();

  /** Calls back with the news of each frame. Returns how to stop. */
  listen(f: (news: Rec[]) => void): () => void {
    this.#listeners.add(f);
    return () => this.#listeners.delete(f);
  }

  push(m: ObserveResponse, past: boolean) {
    const news = past ? this.#unseen(m.records) : m.records;
    this.#pending.push(...news);
    if (this.#pending.length > backlog) this.#pending = this.#pending.slice(-capacity);
    this.sampledOut += Number(m.sampledOut);
    if (!past) this.#arrivals.push({ at: performance.now(), shown: news.length, sampled: Number(m.sampledOut) });
    this.#frame ||= requestAnimationFrame(() => this.#flush());
  }

  clear() {
    this.sampledOut = 0;
    this.#pending = [];
    this.records = this.#kept = [];
  }

  /** A record that the page has, in this feed or in what a view holds. */
  find(wanted: (r: Rec) => boolean): Rec | undefined {
    for (const records of [this.records, this.#kept, ...[...this.#held].map((f) => f())]) {
      const found = records.find(wanted);
      if (found) return found;
    }
    return undefined;
  }

  /** Lets find look into the records of a view as well. Returns how to stop. */
  holds(records: () => Rec[]): () => void {
    this.#held.add(records);
    return () => this.#held.delete(records);
  }

  /** Shows what was kept while the rows stood still. */
  show() {
    if (!this.paused && !this.held) this.records = this.#kept;
  }

  /** A reconnecting stream brings the recent past again. */
  #unseen(records: Rec[]): Rec[] {
    const seen = new Set([...this.#kept, ...this.#pending].map(key));
    return records.filter((r) => r.seq === 0n || !seen.has(key(r)));
  }

  #flush() {
    this.#frame = 0;
    const news = this.#pending;
    this.#pending = [];
    for (const f of this.#listeners) f(news);
    if (!news.length) return;
    this.#kept = [...this.#kept, ...news].slice(-capacity);
    this.show();
  }

  /** Called once a second. */
  measure() {
    const now = performance.now();
    this.#arrivals = this.#arrivals.filter((a) => now - a.at < windowMs);
    let shown = 0;
    let sampled = 0;
    for (const a of this.#arrivals) {
      shown += a.shown;
      sampled += a.sampled;
    }
    this.shownRate = (shown * 1000) / windowMs;
    this.sampledRate = (sampled * 1000) / windowMs;
  }
}
