// SPDX-License-Identifier: Apache-2.0

/** A span of time that a view shows, in milliseconds since 1970. */
export interface Window {
  from: number;
  until: number;
}

/** What a link says of the time: so long until now, or from one time until another. */
export interface Period {
  /** One of spans; empty for fixed times. */
  span: string;
  fixed?: Window;
}

export const spans = [
  { name: '5m', words: '5 minutes', ms: 300e3 },
  { name: '1h', words: '1 hour', ms: 3600e3 },
  { name: '24h', words: '24 hours', ms: 86400e3 },
];

/** Reads span, or from and until; what is no period is the last five minutes. */
export function periodOf(get: (name: string) => string): Period {
  const [from, until] = [Date.parse(get('from')), Date.parse(get('until'))];
  if (from >= 0 && until > from) return { span: '', fixed: { from, until } };
  return { span: spans.find((s) => s.name === get('span'))?.name ?? spans[0]!.name };
}

/** The query of a link to fixed times. */
export function fixedQuery(w: Window): { span: string; from: string; until: string } {
  return { span: '', from: new Date(Math.floor(w.from)).toISOString(), until: new Date(Math.ceil(w.until)).toISOString() };
}

/** The query of a link to the last so much time; the shortest needs no word. */
export function spanQuery(name: string): { span: string; from: string; until: string } {
  return { span: name === spans[0]!.name ? '' : name, from: '', until: '' };
}

const steps = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 20, 30].map((s) => s * 1000),
  ...[1, 2, 5, 10, 20, 30].map((m) => m * 60e3),
  ...[1, 2, 4, 8, 12].map((h) => h * 3600e3),
  ...[1, 2, 7, 14, 30].map((d) => d * 86400e3),
];

/** Steps of a timeline at most. */
export const mostSteps = 180;

/** The length of a timeline's steps: a round one, the shortest of which at most `most` fit. */
export function stepOf(lengthMs: number, most = mostSteps): number {
  const day = 86400e3;
  return steps.find((s) => lengthMs / s <= most) ?? Math.ceil(lengthMs / most / day) * day;
}

/** The window of a period at a time, with its borders on whole steps if it moves. */
export function windowOf(p: Period, now: number): Window & { step: number } {
  if (p.fixed) return { ...p.fixed, step: stepOf(p.fixed.until - p.fixed.from) };
  const ms = (spans.find((s) => s.name === p.span) ?? spans[0]!).ms;
  const step = stepOf(ms);
  const until = Math.floor(now / step) * step + step;
  return { from: until - ms, until, step };
}

/** The window with its middle kept and its length multiplied, not beyond now. */
export function zoom(w: Window, factor: number, now: number): Window {
  const grow = ((w.until - w.from) * (factor - 1)) / 2;
  const until = Math.min(w.until + grow, Math.max(now, w.until));
  return { from: Math.max(0, until - (w.until - w.from) * factor), until };
}

/** Round local times within a window, for its axis. */
export function ticks(w: Window, most: number): number[] {
  const step = stepOf(w.until - w.from, most);
  const offset = new Date(w.from).getTimezoneOffset() * 60e3;
  const out: number[] = [];
  for (let t = Math.ceil((w.from - offset) / step) * step + offset; t <= w.until; t += step) out.push(t);
  return out;
}
