// SPDX-License-Identifier: Apache-2.0

import type { GetStatusResponse } from '../api/skep/v1/agent_pb';
import { seconds } from '../model/format';

/** Events a second of each kind between two status calls. */
export interface Point {
  /** Agent uptime in seconds at the end of the interval. */
  at: number;
  rates: Map<string, number>;
  lost: number;
}

export const historySeconds = 120;

/** The point between two statuses; undefined if they are not of one agent's life. */
export function between(old: GetStatusResponse | undefined, now: GetStatusResponse): Point | undefined {
  const at = seconds(now.uptime);
  const span = at - seconds(old?.uptime);
  if (!old || old.bootId !== now.bootId || span <= 0) return undefined;
  const before = new Map(old.kinds.map((k) => [k.kind, k]));
  const point: Point = { at, rates: new Map(), lost: 0 };
  for (const k of now.kinds) {
    const was = before.get(k.kind);
    point.rates.set(k.kind, Math.max(0, Number(k.received - (was?.received ?? 0n)) / span));
    point.lost += Math.max(0, Number(k.lost - (was?.lost ?? 0n)) / span);
  }
  return point;
}

/** The history with one more point, without what is too old or of another life. */
export function extend(history: Point[], point: Point | undefined): Point[] {
  if (!point) return history;
  return [...history.filter((p) => p.at < point.at && p.at > point.at - historySeconds - 2), point];
}
