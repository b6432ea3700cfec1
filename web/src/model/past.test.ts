// SPDX-License-Identifier: Apache-2.0

import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { CountRecordsResponseSchema } from '../api/skep/v1/agent_pb';
import { RecordSchema } from '../api/skep/v1/record_pb';
import { groups, words } from './dns';
import { filterOf } from './filter';
import { matchesGroup, sortGroups } from './groups';
import { fixedQuery, periodOf, spanQuery, stepOf, ticks, windowOf, zoom } from './period';
import { bands, moveOn, ofCounts, totalOf, totals } from './timeline';

type Query = Record<string, string>;
const query = (q: Query) => (name: string) => q[name] ?? '';
const noon = Date.UTC(2026, 10, 28, 12);

describe('period', () => {
  it('comes back from its link', () => {
    const w = { from: noon - 1234, until: noon + 1 };
    expect(periodOf(query(fixedQuery(w)))).toEqual({ span: '', fixed: w });
    for (const span of ['5m', '1h', '24h']) expect(periodOf(query(spanQuery(span)))).toEqual({ span });
  });

  it.each<Query>([
    {}, { span: '7 years' }, { from: 'yesterday', until: 'now' }, { from: '2026-11-28T12:00:00Z', until: '2026-11-28T11:00:00Z' },
    { from: '2026-11-28T12:00:00Z' }, { until: '2026-11-28T12:00:00Z' },
  ])('takes %j for the last five minutes', (q) => expect(periodOf(query(q))).toEqual({ span: '5m' }));

  it('has few enough steps, of a round length', () => {
    for (const ms of [1, 30, 4321, 300e3, 3600e3, 86400e3, 12 * 86400e3, 50 * 365 * 86400e3]) expect(ms / stepOf(ms)).toBeLessThanOrEqual(180);
    expect([stepOf(300e3), stepOf(3600e3), stepOf(86400e3)]).toEqual([2000, 20e3, 600e3]);
  });

  it('moves by whole steps', () => {
    const w = windowOf({ span: '1h' }, noon + 777);
    expect(w).toEqual({ from: noon + 20e3 - 3600e3, until: noon + 20e3, step: 20e3 });
    expect(windowOf({ span: '1h' }, noon + 19999)).toEqual(w);
  });

  it('does not zoom out into what is to come', () => {
    expect(zoom({ from: noon - 100, until: noon }, 2, noon)).toEqual({ from: noon - 200, until: noon });
    expect(zoom({ from: noon - 300, until: noon - 200 }, 2, noon)).toEqual({ from: noon - 350, until: noon - 150 });
  });

  it('marks round times only', () => {
    const got = ticks({ from: noon + 1, until: noon + 3600e3 }, 8);
    expect(got.length).toBeGreaterThan(3);
    expect(got.every((t) => t % 600e3 === 0)).toBe(true);
  });
});

describe('filter', () => {
  it('has what observe has', () => {
    const { filter, problem } = filterOf(query({ kinds: 'exec,dns', pid: '1, 2', comm: 'a,b', exe: '/usr/bin/', container: 'web', addr: '10.0.0.0/8', port: '443', path: ' /etc/a,b ', where: ' process.uid == 0 ' }));
    expect(problem).toBe('');
    expect(filter).toEqual({ kinds: ['exec', 'dns'], pids: [1, 2], comms: ['a,b'], exes: ['/usr/bin/'], containers: ['web'], addrs: ['10.0.0.0/8'], ports: [443], paths: ['/etc/a,b'], where: 'process.uid == 0' });
  });
  it.each<Query>([{ pid: 'x' }, { pid: '1,-2' }, { port: '65536' }, { pid: '4294967296' }, { pid: '1e3' }])('refuses %j', (q) => {
    expect(filterOf(query(q))).toEqual({ filter: {}, problem: expect.stringContaining(Object.keys(q)[0]!) });
  });
});

describe('timeline', () => {
  const counted = (from: number, exec: bigint[], lost = exec.map(() => 0n), more = {}) =>
    ofCounts(create(CountRecordsResponseSchema, { kinds: [{ kind: 'exec', counts: exec }, { kind: 'loss', counts: lost }], lost, completeFrom: timestampFromMs(from), ...more }), from, 1000);

  it('moves on with fresh steps', () => {
    const old = counted(0, [1n, 2n, 3n, 4n]);
    const moved = moveOn(old, counted(3000, [40n, 5n, 6n]), 2000, 4);
    expect(moved.kinds.get('exec')).toEqual([3, 40, 5, 6]);
    expect(moved).toMatchObject({ from: 2000, step: 1000, completeFrom: 2000, lost: [0, 0, 0, 0] });
  });

  it('keeps kinds that fell silent, and takes new ones', () => {
    const fresh = ofCounts(create(CountRecordsResponseSchema, { kinds: [{ kind: 'dns', counts: [7n] }], lost: [9n], completeFrom: timestampFromMs(2000) }), 2000, 1000);
    const moved = moveOn(counted(0, [1n, 2n]), fresh, 0, 3);
    expect(moved.kinds.get('exec')).toEqual([1, 2, 0]);
    expect(moved.kinds.get('dns')).toEqual([0, 0, 7]);
    expect(moved.lost).toEqual([0, 0, 9]);
  });

  it('remembers how far back it reaches', () => {
    const old = counted(0, [0n, 2n, 3n], undefined, { completeFrom: timestampFromMs(1500), stopped: true });
    expect(moveOn(old, counted(2000, [1n, 1n]), 1000, 3)).toMatchObject({ completeFrom: 1500, stopped: true });
    expect(moveOn(old, counted(2000, [1n, 1n]), 2000, 2)).toMatchObject({ completeFrom: 2000, stopped: false });
  });

  it('stacks what was lost on what was not', () => {
    const t = counted(0, [1n, 0n], [0n, 37n]);
    expect(bands(t, ['exec', 'loss'])).toEqual([
      { kind: 'exec', low: [0, 0], high: [1, 0] },
      { kind: 'lost', low: [1, 0], high: [1, 37] },
    ]);
    expect([totals(t), totalOf(t, 'exec'), totalOf(t, 'oom')]).toEqual([{ records: 1, lost: 37 }, 1, 0]);
  });
});

describe('dns', () => {
  const ask = (seq: number, dns: object, comm = 'curl', container?: { id: string; name: string }) =>
    create(RecordSchema, { kind: 'dns', seq: BigInt(seq), time: timestampFromMs(noon + seq), process: { comm, exe: `/usr/bin/${comm}`, container },
      body: { case: 'dns', value: { outcome: 'answered', rcode: 'NOERROR', type: 'A', latencyNs: 1000n, server: { address: '10.0.0.53', port: 53 }, ...dns } } });
  const records = [
    ask(1, { name: 'ok.example', latencyNs: 3000n, answers: [{ type: 'CNAME', data: 'x.example' }, { type: 'A', data: '192.0.2.1' }] }),
    ask(2, { name: 'OK.example', latencyNs: 1000n, type: 'AAAA' }, 'wget'),
    ask(3, { name: 'ok.example', latencyNs: 9000n, answers: [{ type: 'A', data: '192.0.2.2' }] }),
    ask(4, { name: 'gone.example', rcode: 'NXDOMAIN' }),
    ask(5, { name: 'slow.example', outcome: 'unanswered', rcode: '', latencyNs: 5_000_000_000n }),
    ask(6, { name: 'slow.example', latencyNs: 5_100_000_000n }),
    ask(7, { name: 'forged.example', outcome: 'unmatched' }),
    create(RecordSchema, { kind: 'loss', body: { case: 'loss', value: { count: 3n } } }),
  ];

  it('groups by name, whatever its case', () => {
    const ok = groups(records, 'name').find((g) => g.key === 'ok.example')!;
    expect(ok).toMatchObject({ count: 3, failed: 0, medianNs: 3000, worstNs: 9000, answer: '192.0.2.2', types: ['A', 'AAAA'], programs: ['curl', 'wget'], outcomes: [{ name: 'NOERROR', count: 3 }], newestMs: noon + 3 });
    expect(ok.records.map((r) => r.seq)).toEqual([3n, 2n, 1n]);
  });

  it('counts a question once, though its answer came too late', () => {
    const slow = groups(records, 'name').find((g) => g.key === 'slow.example')!;
    expect(slow).toMatchObject({ count: 1, failed: 1, outcomes: [{ name: 'unanswered', failed: true, count: 1 }, { name: 'NOERROR too late', failed: false, count: 1 }] });
  });

  it('does not take an answer to nothing for a question', () => {
    expect(groups(records, 'name').find((g) => g.key === 'forged.example')).toMatchObject({ count: 0, failed: 0, outcomes: [{ name: 'unmatched', failed: false, count: 1 }] });
  });

  it('shows failures first', () => {
    expect(sortGroups(groups(records, 'name'), 'failed', true).map((g) => g.title)).toEqual(['gone.example', 'slow.example', 'ok.example', 'forged.example']);
  });

  it('groups by server and by program of a container', () => {
    expect(groups(records, 'server').map((g) => [g.title, g.count])).toEqual([['10.0.0.53:53', 5]]);
    const two = [ask(1, { name: 'a' }, 'curl', { id: 'c1', name: 'web' }), ask(2, { name: 'b' }, 'curl', { id: 'c1', name: 'web' }), ask(3, { name: 'b' }, 'curl')];
    expect(groups(two, 'process').map((g) => [g.title, g.container, g.count, g.names])).toEqual([['curl', '', 1, ['b']], ['curl', 'web', 2, ['a', 'b']]]);
  });

  it('finds by answer, outcome and program', () => {
    const found = (s: string) => groups(records, 'name').filter((g) => matchesGroup(g, s, words)).map((g) => g.key);
    expect([found('192.0.2.2'), found('nxdomain curl'), found('wget'), found('nothing')]).toEqual([['ok.example'], ['gone.example'], ['ok.example'], []]);
  });
});
