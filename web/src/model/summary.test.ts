// SPDX-License-Identifier: Apache-2.0

import { create, fromBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { describe, expect, it } from 'vitest';
import css from '../app.css?raw';
import { RecordSchema } from '../api/skep/v1/record_pb';
import { colour, kinds } from '../ui/kinds';
import { generic, summary } from './summary';

const bodies = RecordSchema.fields.filter((f) => f.oneof);

/** A record of kind "new" whose body is one that this page's schema does not have. */
function newer() {
  const w = new BinaryWriter();
  w.tag(3, WireType.LengthDelimited).string('new');
  w.tag(11, WireType.LengthDelimited).bytes(new BinaryWriter().tag(7, WireType.LengthDelimited).string('/usr/sbin/insmod').finish());
  w.tag(900, WireType.LengthDelimited).bytes(new BinaryWriter().tag(1, WireType.LengthDelimited).string('x').finish());
  return fromBinary(RecordSchema, w.finish());
}

describe('summary', () => {
  it.each(bodies.map((f) => f.localName))('of a record with nothing but the body %s says something', (name) => {
    expect(summary(create(RecordSchema, { kind: name, body: { case: name, value: {} } as never }))).toMatch(/\S/);
  });
  it('of a kind that the page has no words for has its fields', () => {
    const r = create(RecordSchema, { kind: 'x', body: { case: 'exec', value: { cwd: '/srv', args: ['a', 'b'], file: { inode: 7n } } } });
    expect(generic(r)).toBe('args=a,b cwd=/srv file=(inode=7)');
  });
  it('of a body that the schema does not have says whose it is', () => {
    expect(summary(newer())).toBe('new of insmod; what it holds is new to this page');
    expect(summary(create(RecordSchema, {}))).toContain('record of the host');
  });
  it('of a loss has its count, if there is one', () => {
    const loss = (count: bigint) => create(RecordSchema, { kind: 'loss', body: { case: 'loss', value: { lostKind: 'exec', count, place: 'store', detail: 'full' } } });
    expect(summary(loss(1200n))).toBe('1,200 exec records lost: store full');
    expect(summary(loss(0n))).toBe('records lost: store full');
    const missed = create(RecordSchema, { kind: 'loss', body: { case: 'loss', value: { lostKind: 'unknown', count: 3n, place: 'program_missed', detail: 'exec at sched_process_exec' } } });
    expect(summary(missed)).toBe('3 runs of a program missed: exec at sched_process_exec');
  });
  it('of a UDP flow has its bytes', () => {
    const r = create(RecordSchema, { kind: 'udp', body: { case: 'connection', value: { direction: 'outbound', local: { address: '10.0.0.1', port: 5 }, remote: { address: '10.0.0.2', port: 53 }, bytesSent: 512n, packetsSent: 3n, durationNs: 1000n } } });
    expect(summary(r)).toBe('10.0.0.1:5 → 10.0.0.2:53  sent 512 B in 3, received 0 B in 0, so far after 1 µs');
  });
});

describe('kinds', () => {
  it.each(kinds)('%s has a colour in both themes', (kind) => {
    expect(colour(kind)).toBe(`var(--k-${kind})`);
    expect(css).toMatch(new RegExp(`--k-${kind}: (light-dark\\(#\\w{6}, #\\w{6}\\)|var\\(--\\w+\\));`));
  });
  it('has one for others', () => expect(colour('new')).toBe('var(--muted)'));
});
