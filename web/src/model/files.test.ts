// SPDX-License-Identifier: Apache-2.0

import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { type Process, RecordSchema } from '../api/skep/v1/record_pb';
import { type By, details, directory, groups, result, subject, words } from './files';
import { matchesGroup, sortGroups } from './groups';
import { plain } from './text';

type Who = Pick<Process, 'comm'> & { container?: { id: string; name: string } };

const sed: Who = { comm: 'sed' };
let seq = 0;
function did(operation: string, path: string, more: object = {}, process: Who = sed) {
  seq++;
  return create(RecordSchema, { kind: 'file', seq: BigInt(seq), time: timestampFromMs(seq * 1000), process: { exe: `/usr/bin/${process.comm}`, ...process }, body: { case: 'file', value: { operation, path, ...more } } });
}

const denied = { error: 13, errorName: 'EACCES' };
const records = [
  did('create', '/etc/sedX', { mode: '0600', flags: 'O_RDWR|O_CREAT' }),
  did('rename', '/etc/sedX', { newPath: '/etc/hosts' }),
  did('open', '/etc/shadow', { ...denied, flags: 'O_WRONLY' }, { comm: 'vi' }),
  did('open', '/etc/hosts', { flags: 'O_WRONLY' }, { comm: 'vi' }),
  did('unlink', '/etc/ssh/none', { error: 2, errorName: 'ENOENT' }),
  did('symlink', '/etc/localtime', { target: '/usr/share/zoneinfo/UTC' }),
  create(RecordSchema, { kind: 'loss', body: { case: 'loss', value: { count: 3n } } }),
];
const by = (way: By, list = records) => groups(list, way);
const find = (way: By, title: string, list = records) => by(way, list).find((g) => g.title === title);

describe('files', () => {
  it('has a rename with both of its names, newest first', () => {
    expect(find('path', '/etc/hosts')).toMatchObject({ count: 2, failed: 0, newestMs: 4000, programs: ['sed', 'vi'] });
    expect(find('path', '/etc/hosts')!.records.map((r) => r.seq)).toEqual([4n, 2n]);
    expect(find('path', '/etc/sedX')!.records.map((r) => r.seq)).toEqual([2n, 1n]);
    expect(by('path').length).toBe(5);
  });

  it('counts each operation once in a directory, in its kind, and for its program', () => {
    expect(by('directory').map((g) => [g.title, g.count, g.failed])).toEqual([['/etc', 5, 1], ['/etc/ssh', 1, 1]]);
    expect(by('operation').reduce((n, g) => n + g.count, 0)).toBe(6);
    expect(find('operation', 'open')).toMatchObject({ count: 2, failed: 1, paths: ['/etc/hosts', '/etc/shadow'] });
    expect(by('process').map((g) => [g.title, g.count, g.failed])).toEqual([['sed', 4, 1], ['vi', 2, 1]]);
  });

  it('has a rename into another directory with both of them', () => {
    expect(by('directory', [did('rename', '/a/x', { newPath: '/b/x' })]).map((g) => [g.title, g.count])).toEqual([['/a', 1], ['/b', 1]]);
  });

  it('has failures first, among groups and in each', () => {
    const group = find('directory', '/etc')!;
    expect(group.outcomes).toEqual([{ name: 'EACCES', failed: true, count: 1 }, { name: 'done', failed: false, count: 4 }]);
    expect(group.operations[0]).toEqual({ name: 'open', failed: true, count: 2 });
    const sorted = sortGroups(by('path'), 'failed', true).map((g) => g.title);
    expect(sorted.slice(0, 2).sort()).toEqual(['/etc/shadow', '/etc/ssh/none']);
  });

  it('keeps what containers call the same apart', () => {
    const web = { comm: 'vi', container: { id: 'c1', name: 'web' } };
    const two = [did('open', '/etc/passwd', {}, web), did('open', '/etc/passwd'), did('open', '/etc/passwd', {}, web)];
    for (const way of ['path', 'directory'] as const) expect(by(way, two).map((g) => [g.container, g.count])).toEqual([['web', 2], ['', 1]]);
  });

  it('says how it ended', () => {
    const end = (f: object) => result(did('open', '/x', f).body.value as never);
    expect([end({}), end(denied), end({ error: 200 }), end({ resultUnknown: true })]).toEqual(['done', 'EACCES', 'error 200', 'result unknown']);
  });

  it('says what was done to what', () => {
    const of = (f: object) => did('x', '/a', f).body.value as never;
    expect([of({}), of({ newPath: '/b' }), of({ target: '../t' }), of({ path: '' }), of({ path: 'b/c', pathTruncated: true })].map((f) => subject(f))).toEqual(['/a', '/a → /b', '/a → ../t', '(no path)', '…b/c']);
    expect(subject(did('rename', '/a'.repeat(40), { newPath: '/b'.repeat(40) }).body.value as never, 64).length).toBe(67);
    expect(details(of({ mode: '0644', owner: ':0', flags: 'O_WRONLY' }))).toBe('0644 :0 O_WRONLY');
    expect(['/etc/hosts', '/etc', '/', 'x', ''].map(directory)).toEqual(['/etc', '/', '/', '', '']);
  });

  it('finds by path, operation, error and program', () => {
    const found = (s: string) => by('path').filter((g) => matchesGroup(g, s, words)).map((g) => g.title).sort();
    expect([found('eacces vi'), found('SYMLINK'), found('zoneinfo'), found('nothing')]).toEqual([['/etc/shadow'], ['/etc/localtime'], ['/etc/localtime'], []]);
  });

  it('takes names that attack', () => {
    const name = '/w/' + 'a\n\x1b[2J<img src=x>\u202e'.repeat(240);
    const [group] = by('path', [did('create', name), did('unlink', name)]);
    expect(group).toMatchObject({ title: name, count: 2 });
    expect(plain(group!.title)).not.toMatch(/[\u0000-\u001f\u202e]/);
    expect(by('path', [did('open', '__proto__'), did('open', 'constructor'), did('open', '')]).map((g) => g.title)).toEqual(['(no path)', 'constructor', '__proto__']);
  });
});
