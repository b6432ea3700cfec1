// SPDX-License-Identifier: Apache-2.0

import type { Tool } from '../api/skep/v1/agent_pb';
import type { TraceEvent, TraceHistogram, TracePrint, TraceStack, TraceValue } from '../api/skep/v1/trace_pb';
import { bytes, count, nanos } from './format';

/** Rows that the page keeps; older ones are counted and let go. */
export const mostRows = 2000;

/** What a run has said so far. A new one is made for each batch of events, as Svelte wants it. */
export interface Output {
  rows: TraceValue[][];
  /** Rows that were let go. */
  gone: number;
  /** Text that is no row of the tool's columns. */
  text: string;
  maps: Map<string, TracePrint>;
  lost: Map<string, bigint>;
  problems: { bad: boolean; text: string }[];
  probes: number;
  ended?: string;
}

export function nothing(): Output {
  return { rows: [], gone: 0, text: '', maps: new Map(), lost: new Map(), problems: [], probes: 0 };
}

const decoder = new TextDecoder();
const mostText = 64 << 10;
const mostProblems = 20;

/** What a run has said once it has said some events more. */
export function told(before: Output, events: TraceEvent[], tool: Tool): Output {
  const o: Output = { ...before, maps: new Map(before.maps), lost: new Map(before.lost), problems: [...before.problems] };
  const rows: TraceValue[][] = [];
  for (const { body } of events) {
    switch (body.case) {
      case 'ready':
        o.probes = body.value.probes.length;
        break;
      case 'text':
        // A tool's printf has a value for each column; headings have none.
        if (tool.columns.length > 0 && body.value.values.length === tool.columns.length) rows.push(body.value.values);
        else if (body.value.from !== 'printf' || tool.columns.length === 0) o.text = (o.text + decoder.decode(body.value.text)).slice(-mostText);
        break;
      case 'print':
        o.maps.set(body.value.name, body.value);
        break;
      case 'loss': {
        const what = lossText[body.value.place] ?? body.value.place;
        o.lost.set(what, (o.lost.get(what) ?? 0n) + body.value.count);
        break;
      }
      case 'diagnostic':
        if (o.problems.length < mostProblems) o.problems.push({ bad: body.value.severity !== 1, text: [body.value.text, body.value.hint].filter(Boolean).join(': ') });
        break;
      case 'ended':
        o.ended = body.value.reason;
    }
  }
  const all = rows.length > 0 ? [...before.rows, ...rows] : before.rows;
  const over = Math.max(0, all.length - mostRows);
  o.rows = over > 0 ? all.slice(over) : all;
  o.gone += over;
  return o;
}

const lossText: Record<string, string> = {
  ring: 'did not fit into the ring', rate: 'were more than may be sent in a second', map: 'found a full map', queue: 'were read too slowly',
  missed: 'were not seen: the kernel did not run the probe',
};

/** A value as text, in the unit of its column or map. */
export function show(v: TraceValue | undefined, unit = ''): string {
  const k = v?.kind;
  switch (k?.case) {
    case 'signed':
    case 'unsigned':
      return number(k.value, unit);
    case 'truth':
      return k.value ? 'yes' : 'no';
    case 'pointer':
      return `0x${k.value.toString(16)}`;
    case 'text':
      return decoder.decode(k.value);
    case 'buffer':
      return [...k.value].map((b) => `\\x${b.toString(16).padStart(2, '0')}`).join('');
    case 'tuple':
    case 'array':
      return `(${k.value.fields.map((f) => show(f.value)).join(', ')})`;
    case 'record':
      return `{ ${k.value.fields.map((f) => `${f.name}: ${show(f.value)}`).join(', ')} }`;
    case 'stack':
      return frames(k.value).join(' ← ');
    case 'symbol':
      return frame(k.value);
    case 'average':
      return number(k.value.number, unit);
    case 'stats':
      return `${count(k.value.count)} times, ${number(k.value.number, unit)} in all`;
    case 'enum':
      return k.value.name || (k.value.number ? String(k.value.number) : '-'); // 0: no error, no signal
  }
  return '';
}

function number(n: bigint, unit: string): string {
  switch (unit) {
    case 'ns':
      return nanos(n);
    case 'us':
      return nanos(n * 1000n);
    case 'ms':
      return nanos(n * 1_000_000n);
    case 'bytes':
      return bytes(n);
    case 'kib':
      return bytes(n * 1024n);
  }
  return unit === 'count' ? count(n) : String(n);
}

function frame(f: { symbol: string; address: bigint }): string {
  return f.symbol || `0x${f.address.toString(16)}`;
}

/** The functions of a stack, the innermost first. */
export function frames(s: TraceStack): string[] {
  return s.frames.map(frame);
}

/** The number that an entry is sorted and drawn by. */
export function amount(v: TraceValue | undefined): number {
  const k = v?.kind;
  switch (k?.case) {
    case 'signed':
    case 'unsigned':
      return Number(k.value);
    case 'average':
    case 'stats':
      return Number(k.value.number);
    case 'histogram':
      return k.value.buckets.reduce((sum, b) => sum + Number(b.count), 0);
  }
  return 0;
}

/** Which parts of a key, if any, are stacks: what is left names the flame. */
export function stacked(print: TracePrint): boolean {
  return print.entries.some((e) => e.key.some((k) => k.kind.case === 'stack'));
}

/** The bounds of a bucket as bpftrace writes them: [4, 8), [1K, 2K), (..., 0). */
export function bound(h: TraceHistogram, at: number): string {
  const b = h.buckets[at]!;
  if (b.below) return `(..., ${short(b.high)})`;
  if (b.above) return `[${short(b.low)}, ...)`;
  return b.high - b.low === 1n ? `[${short(b.low)}]` : `[${short(b.low)}, ${short(b.high)})`;
}

function short(n: bigint): string {
  for (const [unit, size] of [['T', 1n << 40n], ['G', 1n << 30n], ['M', 1n << 20n], ['K', 1n << 10n]] as const) {
    if (n !== 0n && n % size === 0n) return `${n / size}${unit}`;
  }
  return String(n);
}
