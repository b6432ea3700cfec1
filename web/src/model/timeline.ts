// SPDX-License-Identifier: Apache-2.0

import type { CountRecordsResponse, Undecided } from '../api/skep/v1/agent_pb';
import { millis } from './format';

/** How many records there were in each step of a window. Times are milliseconds since 1970. */
export interface Timeline {
  from: number;
  step: number;
  /** Of each kind, one number a step. */
  kinds: Map<string, number[]>;
  /** Lost records, by the step in which the loss was told. */
  lost: number[];
  /** Before this time the agent has nothing, or had no time to count. */
  completeFrom: number;
  stopped: boolean;
  /** What could not be read. */
  missing: string[];
  /** Records of which the condition could not tell whether they belong here. */
  undecided: Undecided | undefined;
}

export function ofCounts(r: CountRecordsResponse, from: number, step: number): Timeline {
  return {
    from, step,
    kinds: new Map(r.kinds.map((k) => [k.kind, k.counts.map(Number)])),
    lost: r.lost.map(Number),
    completeFrom: Math.max(from, millis(r.completeFrom)),
    stopped: r.stopped,
    missing: r.missing,
    undecided: r.undecided,
  };
}

/**
 * A window that has moved on: the old steps as far as they still belong to it,
 * and the fresh ones from where those begin. Both have the same step.
 */
export function moveOn(old: Timeline, fresh: Timeline, from: number, steps: number): Timeline {
  const { step } = fresh;
  const pick = (was: number[] | undefined, is: number[] | undefined) =>
    Array.from({ length: steps }, (_, i) => {
      const at = from + i * step;
      return at < fresh.from ? (was?.[Math.round((at - old.from) / step)] ?? 0) : (is?.[Math.round((at - fresh.from) / step)] ?? 0);
    });
  const names = new Set([...old.kinds.keys(), ...fresh.kinds.keys()]);
  return {
    from, step,
    kinds: new Map([...names].map((k) => [k, pick(old.kinds.get(k), fresh.kinds.get(k))])),
    lost: pick(old.lost, fresh.lost),
    completeFrom: Math.max(from, fresh.completeFrom > fresh.from ? fresh.completeFrom : old.completeFrom),
    stopped: fresh.stopped || (old.stopped && old.completeFrom > from),
    missing: fresh.missing.length ? fresh.missing : old.missing,
    undecided: old.undecided ?? fresh.undecided,
  };
}

export interface Band {
  kind: string;
  low: number[];
  high: number[];
}

/** The kinds on top of each other in the given order, and what was lost on top of all. */
export function bands(t: Timeline, order: string[]): Band[] {
  const base = t.lost.map(() => 0);
  const rank = (k: string) => (order.includes(k) ? order.indexOf(k) : order.length);
  const all = [...t.kinds].filter(([k]) => k !== 'loss').sort(([a], [b]) => rank(a) - rank(b));
  return [...all, ['lost', t.lost] as const]
    .filter(([, counts]) => counts.some((n) => n > 0))
    .map(([kind, counts]) => {
      const low = [...base];
      counts.forEach((n, i) => (base[i]! += n));
      return { kind, low, high: [...base] };
    });
}

const add = (a: number, b: number) => a + b;

export function totalOf(t: Timeline, kind: string): number {
  return (t.kinds.get(kind) ?? []).reduce(add, 0);
}

/** All records of the window; losses are told apart. */
export function totals(t: Timeline): { records: number; lost: number } {
  let records = 0;
  for (const [kind, counts] of t.kinds) if (kind !== 'loss') records += counts.reduce(add, 0);
  return { records, lost: t.lost.reduce(add, 0) };
}
