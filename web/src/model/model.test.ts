// SPDX-License-Identifier: Apache-2.0

import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { between, extend } from '../agent/rates';
import { type ConnectionInfo, ConnectionInfoSchema, GetStatusResponseSchema, ListConnectionsResponseSchema, ListProcessesResponseSchema } from '../api/skep/v1/agent_pb';
import { RecordSchema } from '../api/skep/v1/record_pb';
import { decode } from './caps';
import { edges, sortEdges } from './edges';
import { age, bytes, nanos, percent, rate, since } from './format';
import { draw } from './graph';
import { fields, stringify } from './json';
import { ofInfo, ProcessTable, type Row } from './processes';
import { ceiling, stack } from './stack';
import { commandLine, middle, pieces, plain } from './text';
import { lines } from './tree';

describe('text', () => {
  it.each([
    ['\x1b[31mred', '\\e[31mred'],
    ['a\u202eb', 'a\\u{202e}b'],
    ['\u2066x\u2069', '\\u{2066}x\\u{2069}'],
    ['nul\0', 'nul\\0'],
    ['\x85\x9b', '\\x85\\x9b'],
    ['tag\u{e0041}', 'tag\\u{e0041}'],
    ['\ud800', '\\u{d800}'],
    ['<b>&amp;', '<b>&amp;'],
    ['ünï שלום 日本 🐝', 'ünï שלום 日本 🐝'],
  ])('shows %j', (raw, shown) => expect(plain(raw)).toBe(shown));

  it('tells an escape from the same letters', () => {
    expect(pieces('\\n\n')).toEqual([{ text: '\\n', escaped: false }, { text: '\\n', escaped: true }]);
  });

  it('cuts the middle out of what is long, and no character in two', () => {
    expect(['', '0123456789', '0123456789a'].map((s) => middle(s, 10))).toEqual(['', '0123456789', '012…56789a']);
    for (const s of ['🐝'.repeat(9), `a${'🐝'.repeat(9)}`]) {
      for (let most = 4; most < 20; most++) {
        expect(middle(s, most)).not.toMatch(/\p{Surrogate}/u);
        expect(middle(s, most).length).toBeLessThanOrEqual(most);
      }
    }
  });

  it('keeps the borders of arguments', () => {
    expect(commandLine(['sh', '-c', "echo 'a b'", ''])).toBe("sh -c 'echo '\\''a b'\\''' ''");
  });
});

describe('format', () => {
  it.each([
    [rate(0), '0'], [rate(0.25), '0.25'], [rate(12.5), '12.5'], [rate(4999.6), '5,000'], [rate(12345), '12.3k'],
    [bytes(1023), '1023 B'], [bytes(1024n), '1 KiB'], [bytes(5 * 2 ** 30), '5 GiB'],
    [nanos(999), '999 ns'], [nanos(1_500_000n), '1.5 ms'], [nanos(90e9), '1m 30s'], [age(93784e3), '1d 2h'], [age(500), '0s'], [since(9000, 2000), '7s'], [since(9000, 0), '-'],
    [percent(0), '0.00 %'], [percent(0.00001), '<0.01 %'], [percent(0.1234), '12.3 %'],
  ])('%s is %s', (got, want) => expect(got).toBe(want));
});

describe('capabilities', () => {
  it('names Docker’s default set', () => {
    const caps = decode('00000000a80425fb');
    expect(caps.names.map((c) => c.name)).toEqual(['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'NET_BIND_SERVICE', 'NET_RAW', 'SYS_CHROOT', 'MKNOD', 'AUDIT_WRITE', 'SETFCAP']);
  });
  it('knows the full set, and bits from the future', () => {
    expect(decode('000001ffffffffff').missing).toEqual([]);
    expect(decode('000001fffeffffff').missing).toEqual(['SYS_RESOURCE']);
    expect(decode('8000000000000000').names).toEqual([{ name: 'CAP_63', strong: false }]);
    expect(decode('<script>').names).toEqual([]);
  });
});

describe('json', () => {
  const record = create(RecordSchema, {
    kind: 'exec', seq: 2n ** 63n, time: { seconds: 1700000000n, nanos: 7 },
    process: { pid: 7, comm: 'a\u202e<', container: { labels: { z: '1', a: '2' } } },
    body: { case: 'exec', value: { args: ['x', ''], argsRaw: new Uint8Array([255, 0]), file: { inode: 1n } } },
  });
  const text = stringify(fields(RecordSchema, record));

  it('has the names and the order of the schema, numbers with all digits, no empty fields', () => {
    expect(text.replace(/\s+/g, ' ')).toBe(
      '{ "kind": "exec", "seq": 9223372036854775808, "time": "2023-11-14T22:13:20.000000007Z", "process": { "pid": 7, "comm": "a\\u202e\\u003c", "uid": 0, "container": { "labels": { "a": "2", "z": "1" } } }, ' +
        '"exec": { "args": [ "x", "" ], "args_raw": "/wA=", "file": { "inode": 1 } } }',
    );
  });
  it('has a 0 that says something', () => {
    const ended = create(RecordSchema, { process: {}, body: { case: 'exit', value: {} } });
    expect(JSON.parse(stringify(fields(RecordSchema, ended)))).toEqual({ process: { uid: 0 }, exit: { code: 0 } });
    const root = create(RecordSchema, { body: { case: 'exec', value: { credentials: { gid: 7 } } } });
    const ids = JSON.parse(stringify(fields(RecordSchema, root))).exec.credentials;
    expect([ids.uid, ids.gid, ids.euid]).toEqual([0, 7, 0]);
  });
  it('is JSON', () => expect(JSON.parse(text).process.comm).toBe('a\u202e<'));
  it('keeps an empty body', () => {
    expect(stringify(fields(RecordSchema, create(RecordSchema, { body: { case: 'fork', value: {} } })))).toContain('"fork": {}');
  });
});

function row(pid: number, ppid: number, more: Partial<Row> = {}): Row {
  return { ...ofInfo({ args: [] } as never), id: `p${pid}`, execId: `e${pid}`, pid, ppid, startedMs: pid, ...more };
}
const all = { search: '', container: '', grouped: false, collapsed: new Set<string>() };
const show = (rows: Row[], view = {}) => lines(rows, { ...all, ...view }).map((l) => ' '.repeat(l.level - 1) + (l.row?.pid ?? `[${l.group!.name}]`));

describe('process tree', () => {
  const rows = [row(30, 20), row(1, 0), row(20, 1, { comm: 'sh' }), row(21, 1, { containerId: 'c'.repeat(64), container: 'web' })];
  it('nests children', () => expect(show(rows)).toEqual(['1', ' 20', '  30', ' 21']));
  it('finds with ancestors', () => expect(show(rows, { search: '30' })).toEqual(['1', ' 20', '  30']));
  it('collapses', () => expect(show(rows, { collapsed: new Set(['p20']) })).toEqual(['1', ' 20', ' 21']));
  it('groups by container', () => expect(show(rows, { grouped: true })).toEqual(['[web]', ' 21', '[]', ' 1', '  20', '   30']));
  it('has the kernel’s threads last', () => {
    expect(show([row(2, 0), row(3, 2), row(1, 0, { exe: '/init', startedMs: 9 })])).toEqual(['1', '2', ' 3']);
  });
  it('filters by container', () => expect(show(rows, { container: 'host' })).toEqual(['1', ' 20', '  30']));
  it('survives circles and reused pids', () => {
    expect(show([row(5, 6, { startedMs: 1 }), row(6, 5, { startedMs: 1 })]).length).toBe(2);
    expect(show([row(9, 9)])).toEqual(['9']);
    expect(show([row(2, 8), row(8, 1)])).toEqual(['2', '8']);
  });
  it('survives a chain that no honest host has', () => {
    const chain = Array.from({ length: 20000 }, (_, i) => row(i + 1, i));
    expect(lines(chain, all).length).toBe(20000);
  });
});

describe('process table', () => {
  const at = (ms: number) => ({ seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1e6 });
  const event = (pid: number, body: object, ms = 1000) => create(RecordSchema, { process: { processId: `p${pid}`, pid, execId: `e${pid}` }, time: at(ms), body: body as never });

  it('follows the stream, and fades what ended', () => {
    const table = new ProcessTable();
    expect(table.apply([event(1, { case: 'exec', value: { args: ['true'] } })])).toBe(true);
    expect(table.rows.get('p1')?.command).toBe('true');
    table.apply([event(1, { case: 'exit', value: { code: 3 } }, 2000)]);
    expect(table.rows.get('p1')?.exit?.code).toBe(3);
    expect(table.sweep(3000)).toBe(false);
    expect(table.sweep(60000)).toBe(true);
    expect(table.rows.size).toBe(0);
  });
  it('takes the agent’s list as the truth', () => {
    const table = new ProcessTable();
    table.replace([row(1, 0), row(2, 1)], 1000);
    table.replace([row(2, 1)], 2000);
    expect([...table.rows.values()].map((r) => [r.pid, r.exitedMs])).toEqual([[2, 0], [1, 2000]]);
  });
  it('bounds what fades', () => {
    const table = new ProcessTable();
    table.replace(Array.from({ length: 5000 }, (_, i) => row(i + 1, 0, { exitedMs: 1000 })), 1000);
    table.sweep(1001);
    expect(table.rows.size).toBe(200);
  });
});

function connection(direction: string, local: [string, number], remote: [string, number], more: object = {}): ConnectionInfo {
  return create(ConnectionInfoSchema, {
    state: 'ESTABLISHED',
    process: direction === 'inbound' ? { exe: '/usr/sbin/nginx', execId: 'n' } : { exe: '/usr/bin/curl', execId: 'c' },
    connection: {
      direction, communityId: 'id', local: { address: local[0], port: local[1] }, remote: { address: remote[0], port: remote[1] },
      bytesSent: direction === 'inbound' ? 900n : 10n, bytesReceived: direction === 'inbound' ? 10n : 900n, ...more,
    },
  });
}

describe('edges', () => {
  it('counts a connection once though both ends are here', () => {
    const got = edges([
      connection('inbound', ['127.0.0.1', 80], ['127.0.0.1', 5000], { peer: { execId: 'c', exe: '/usr/bin/curl' } }),
      connection('outbound', ['127.0.0.1', 5000], ['127.0.0.1', 80], { peer: { execId: 'n', exe: '/usr/sbin/nginx' } }),
    ]);
    expect(got.map((e) => [e.client.name, e.server.name, e.port, e.open, e.toServer, e.toClient])).toEqual([['curl', 'nginx', 80, 1, 10, 900]]);
  });
  it('counts failures, and sorts', () => {
    const got = edges([connection('outbound', ['10.0.0.1', 1], ['10.0.0.2', 9], { error: 111, errorName: 'ECONNREFUSED' }), connection('inbound', ['10.0.0.1', 443], ['192.0.2.1', 7])]);
    expect(sortEdges(got, 'failed', true).map((e) => [e.server.name, e.failed, e.open])).toEqual([['10.0.0.2', 1, 0], ['nginx', 0, 1]]);
    expect(sortEdges(got, 'port', false).map((e) => e.port)).toEqual([9, 443]);
    expect(draw(got).boxes.length).toBe(4);
  });
});

describe('rates', () => {
  const status = (uptime: bigint, received: bigint, lost = 0n, bootId = 'b') => create(GetStatusResponseSchema, { bootId, uptime: { seconds: uptime }, kinds: [{ kind: 'exec', received, lost }] });
  it('come from counters and the agent’s clock', () => {
    const p = between(status(10n, 100n), status(12n, 300n, 4n))!;
    expect([p.at, p.rates.get('exec'), p.lost]).toEqual([12, 100, 2]);
  });
  it('know another life of the agent', () => {
    expect(between(undefined, status(1n, 1n))).toBeUndefined();
    expect(between(status(10n, 1n), status(3n, 1n))).toBeUndefined();
    expect(between(status(10n, 1n), status(12n, 1n, 0n, 'c'))).toBeUndefined();
  });
  it('keep two minutes', () => {
    let history: ReturnType<typeof extend> = [];
    for (let at = 0; at < 500; at++) history = extend(history, { at, rates: new Map([['exec', 1]]), lost: 0 });
    expect(history.length).toBe(122);
    expect(stack(history, ['fork', 'exec']).map((l) => [l.kind, l.high[0]])).toEqual([['exec', 1]]);
  });
  it('have a calm scale', () => expect([1, 1.2, 3, 700, 1000].map(ceiling)).toEqual([1, 2, 5, 1000, 1000]));
});

describe('list answers', () => {
  it('have the field numbers that agent/list.ts reads', () => {
    for (const [schema, items] of [[ListProcessesResponseSchema, 'processes'], [ListConnectionsResponseSchema, 'connections']] as const) {
      expect(schema.fields.slice(0, 2).map((f) => [f.name, f.number])).toEqual([[items, 1], ['total', 2]]);
    }
  });
});
