// SPDX-License-Identifier: Apache-2.0

import type { Point } from '../agent/rates';

export interface Layer {
  kind: string;
  low: number[];
  high: number[];
}

/** Stacks the kinds that occur, in order; the last layer's high is the total. */
export function stack(history: Point[], kinds: string[]): Layer[] {
  const base = history.map(() => 0);
  return kinds
    .filter((kind) => history.some((p) => p.rates.get(kind)))
    .map((kind) => {
      const low = [...base];
      history.forEach((p, i) => (base[i]! += p.rates.get(kind) ?? 0));
      return { kind, low, high: [...base] };
    });
}

/** The next 1, 2 or 5 times a power of ten: a scale that does not jitter. */
export function ceiling(n: number): number {
  const power = 10 ** Math.floor(Math.log10(n));
  for (const step of [1, 2, 5, 10]) if (n <= step * power) return step * power;
  return n;
}
