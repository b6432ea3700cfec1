// SPDX-License-Identifier: Apache-2.0

import { describe, expect, it } from 'vitest';
import losses from '../../../bpf/include/loss.h?raw';
import documented from '../../../docs/records.md?raw';
import { headline, meaning } from './losses';

const sources = import.meta.glob<string>(['../../../internal/{agent,server,ship}/*.go', '!**/*_test.go'], { query: '?raw', import: 'default', eager: true });

const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((m) => m.slice(1).find(Boolean)!);

/** Places that the kernel side counts. */
const kernel = all(losses, /LOSS_(\w+) = \d+, /g).map((n) => n.toLowerCase());
/** Places in the Go code: in a record, in a counter, and in a table of them. */
const agent = [...new Set(Object.values(sources).flatMap((text) => all(text, /Place: "(\w+)|\badd\("(\w+)"|tellLoss\([^"\n{]*"(\w+)"|place\w+ += "(\w+)"|\{"(\w+_full)"/g)))];
/** The table of docs/records.md. */
const table = documented.slice(documented.indexOf('| place |')).split('\n\n')[0]!.split('\n').flatMap((row) => all(row.split('|')[1] ?? '', /`([\w:]+)`/g));

describe('each place where something is lost', () => {
  it('is found where it is made', () => {
    expect(kernel).toContain('ring_full');
    for (const place of ['restart', 'malformed', 'store', 'undecoded', 'program_missed', 'subscriber', 'ship', 'connections_full', 'resolver_full']) expect(agent).toContain(place);
    expect(table.length).toBeGreaterThan(10);
  });
  it.each([...kernel, ...agent, ...table])('%s has a text on the page', (place) => expect(meaning(place)).not.toBe(''));
  it.each([...kernel, ...agent])('%s is in docs/records.md', (place) => expect(table.map((p) => p.replace(/:.*/, ''))).toContain(place));
  it('is no lost event unless one is', () => {
    expect([headline(0n), headline(1234n)]).toEqual(['Something may be missing', '1,234 events lost']);
  });
  it('takes an output’s name as it comes', () => {
    expect(meaning('ship:a\nb')).toBe(meaning('ship:audit'));
    expect([meaning('toString'), meaning('new_place')]).toEqual(['', '']);
  });
});
