// SPDX-License-Identifier: Apache-2.0

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ToolSchema } from '../api/skep/v1/agent_pb';
import { TraceEventSchema, TraceHistogramSchema, TracePrintSchema, TraceValueSchema } from '../api/skep/v1/trace_pb';
import { between, boxes, find, flames } from './flame';
import { amount, bound, mostRows, nothing, show, stacked, told } from './tool';

const bytesOf = (s: string) => new TextEncoder().encode(s);
const text = (s: string) => ({ kind: { case: 'text' as const, value: bytesOf(s) } });
const int = (n: bigint) => ({ kind: { case: 'signed' as const, value: n } });
const value = (v: MessageInitShape<typeof TraceValueSchema>) => create(TraceValueSchema, v);
const event = (body: MessageInitShape<typeof TraceEventSchema>['body']) => create(TraceEventSchema, { body });
const tool = create(ToolSchema, { name: 'opensnoop', columns: [{ name: 'pid', type: 'int' }, { name: 'path', type: 'text' }] });
const row = (n: bigint) => event({ case: 'text', value: { from: 'printf', text: bytesOf('x'), values: [int(n), text('/etc/hosts')] } });

describe('what a run has said', () => {
  it('keeps records as rows, and headings out', () => {
    const heading = event({ case: 'text', value: { from: 'printf', text: bytesOf('PID PATH\n'), values: [] } });
    const o = told(nothing(), [heading, row(1n), row(2n)], tool);
    expect(o.rows.map((r) => show(r[0]))).toEqual(['1', '2']);
    expect(show(o.rows[0]![1])).toBe('/etc/hosts');
    expect(o.text).toBe('');
  });

  it('lets the oldest rows go and counts them', () => {
    const many = Array.from({ length: mostRows + 7 }, (_, i) => row(BigInt(i)));
    const o = told(told(nothing(), many, tool), [row(-1n)], tool);
    expect(o.rows.length).toBe(mostRows);
    expect(o.gone).toBe(8);
    expect(show(o.rows[0]![0])).toBe('8');
    expect(show(o.rows.at(-1)![0])).toBe('-1');
  });

  it('adds losses up by what they are', () => {
    const loss = (place: string, count: bigint) => event({ case: 'loss', value: { place, count, probe: 'p' } });
    const o = told(told(nothing(), [loss('ring', 3n)], tool), [loss('ring', 4n), loss('rate', 1n)], tool);
    expect([...o.lost.values()]).toEqual([7n, 1n]);
  });

  it('shows a map as it was last, and why the run ended', () => {
    const print = (n: bigint) => event({ case: 'print', value: { name: '@', entries: [{ value: int(n) }] } });
    const o = told(nothing(), [print(1n), print(2n), event({ case: 'ended', value: { reason: 'asked' } })], tool);
    expect(amount(o.maps.get('@')!.entries[0]!.value)).toBe(2);
    expect(o.ended).toBe('asked');
  });

  it('does not change what it was given', () => {
    const before = told(nothing(), [row(1n)], tool);
    told(before, [row(2n), event({ case: 'loss', value: { place: 'map', count: 1n } })], tool);
    expect(before.rows.length).toBe(1);
    expect(before.lost.size).toBe(0);
  });
});

describe('values', () => {
  it('are shown in their unit', () => {
    expect(show(value(int(1500n)), 'us')).toBe('1.5 ms');
    expect(show(value(int(2048n)), 'bytes')).toBe('2 KiB');
    expect(show(value(int(-5n)))).toBe('-5');
    expect(show(value({ kind: { case: 'pointer', value: 255n } }))).toBe('0xff');
  });

  it('are called by what their number stands for', () => {
    const of = (number: bigint, name: string) => show(value({ kind: { case: 'enum', value: { number, name } } }));
    expect([of(2n, 'ENOENT'), of(0n, ''), of(4095n, ''), of(0n, 'HI')]).toEqual(['ENOENT', '-', '4095', 'HI']);
  });
});

describe('buckets', () => {
  it('are named as bpftrace names them', () => {
    const h = create(TraceHistogramSchema, {
      buckets: [{ below: true, high: 0n }, { low: 1n, high: 2n }, { low: 4n, high: 8n }, { low: 1024n, high: 2048n }, { low: 100n, above: true }],
    });
    expect(h.buckets.map((_, i) => bound(h, i))).toEqual(['(..., 0)', '[1]', '[4, 8)', '[1K, 2K)', '[100, ...)']);
  });
});

describe('a flame', () => {
  const path = (...names: string[]) => names.join(between);
  const stack = (user: boolean, ...names: string[]) => ({ kind: { case: 'stack' as const, value: { frames: names.map((symbol) => ({ symbol, user })) } } });
  const print = create(TracePrintSchema, {
    name: '@',
    entries: [
      { key: [stack(false, 'c', 'b', 'a'), text('sh')], value: int(3n) },
      { key: [stack(false, 'd', 'a'), text('sh')], value: int(1n) },
      { key: [stack(false, 'read'), stack(true, 'main'), text('cat')], value: int(4n) },
    ],
  });

  it('is known by its stacks', () => {
    expect(stacked(print)).toBe(true);
    expect(stacked(create(TracePrintSchema, { entries: [{ key: [text('sh')], value: int(1n) }] }))).toBe(false);
  });

  it('adds up from the outermost function in, a command before, the user before the kernel', () => {
    const root = flames(print);
    expect(root.total).toBe(8);
    expect(find(root, path('all', 'sh', 'a')).total).toBe(4);
    expect(find(root, path('all', 'sh', 'a', 'b', 'c')).total).toBe(3);
    expect(find(root, path('all', 'cat', 'main', 'read')).total).toBe(4);
    expect(find(root, path('all', 'gone'))).toBe(root);
  });

  it('tells boxes apart, whatever processes are called', () => {
    const key = (comm: string, ...names: string[]) => ({ key: [stack(false, ...names), text(comm)], value: int(1n) });
    const all = boxes(flames(create(TracePrintSchema, { entries: [key('a\nb', 'c'), key('a', 'c', 'b')] })));
    expect(new Set(all.map((b) => b.path)).size).toBe(all.length);
  });

  it('is laid out without a gap or an overlap, children within their parents', () => {
    const all = boxes(flames(print));
    expect(all.reduce((sum, b) => sum + (b.depth === 1 ? b.width : 0), 0)).toBeCloseTo(1);
    const inner = all.find((b) => b.path === path('all', 'sh', 'a', 'b'))!;
    const outer = all.find((b) => b.path === path('all', 'sh', 'a'))!;
    expect(inner.left).toBeGreaterThanOrEqual(outer.left);
    expect(inner.left + inner.width).toBeLessThanOrEqual(outer.left + outer.width + 1e-9);
  });
});
