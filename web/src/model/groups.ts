// SPDX-License-Identifier: Apache-2.0

import type { Record as Rec } from '../api/skep/v1/record_pb';
import { millis } from './format';
import { baseName } from './text';

/** A value that records have, how often, and whether one of those failed. */
export interface Tally {
  name: string;
  failed: boolean;
  count: number;
}

/** Records that have something in common, newest first. */
export interface Group {
  /** Unique among the groups of a view. */
  key: string;
  title: string;
  /** Where all of them were, if that is part of what they have in common. */
  container: string;
  records: Rec[];
  /** What was asked for or done; a record may tell of something that another has told already. */
  count: number;
  failed: number;
  /** How they ended. */
  outcomes: Tally[];
  programs: string[];
  newestMs: number;
}

/** Where a record belongs: a group's key, its title, and its container if the group is of one. */
export interface Place {
  key: string;
  title: string;
  container: string;
}

/** What a record adds to the counts of its groups. */
export interface Told {
  outcome: string;
  failed: boolean;
  /** It is not told by another record as well. */
  counts: boolean;
}

/** The program of a record's process, by its short name. */
export function program(r: Rec): string {
  return r.process?.comm || baseName(r.process?.exe ?? '') || 'unknown process';
}

/** Where a record belongs by its program: those of one container together, not each process. */
export function programPlace(r: Rec): Place {
  return inContainer(r, r.process?.exe || program(r), program(r));
}

/** A place that each container has its own of. */
export function inContainer(r: Rec, name: string, title = name): Place {
  const id = r.process?.container?.id ?? '';
  return { key: `${id} ${name}`, title, container: r.process?.container?.name || id.slice(0, 12) };
}

/** Groups records that are oldest first. Those without a place are passed over; one may have several. */
export function group(records: Rec[], placesOf: (r: Rec) => Place[], told: (r: Rec) => Told): Group[] {
  const out = new Map<string, Group>();
  for (const r of records.toReversed()) {
    for (const place of placesOf(r)) {
      let g = out.get(place.key);
      if (!g) out.set(place.key, (g = { ...place, records: [], count: 0, failed: 0, outcomes: [], programs: [], newestMs: 0 }));
      g.records.push(r);
    }
  }
  for (const g of out.values()) count(g, told);
  return [...out.values()];
}

function count(g: Group, told: (r: Rec) => Told) {
  for (const r of g.records) {
    const { failed, counts } = told(r);
    if (counts) g.count++;
    if (failed) g.failed++;
    g.newestMs = Math.max(g.newestMs, millis(r.time));
  }
  g.outcomes = tally(g.records, (r) => told(r).outcome, (r) => told(r).failed);
  g.programs = distinct(g.records, program).sort();
}

/** How often each value is there, those that failed first, then by how often. */
export function tally(records: Rec[], valueOf: (r: Rec) => string, failed: (r: Rec) => boolean): Tally[] {
  const seen = new Map<string, Tally>();
  for (const r of records) {
    const name = valueOf(r);
    let t = seen.get(name);
    if (!t) seen.set(name, (t = { name, failed: false, count: 0 }));
    t.failed ||= failed(r);
    t.count++;
  }
  return [...seen.values()].sort((a, b) => Number(b.failed) - Number(a.failed) || b.count - a.count);
}

/** The different values of the records, in their order; empty ones are none. */
export function distinct(records: Rec[], valueOf: (r: Rec) => string): string[] {
  return [...new Set(records.map(valueOf))].filter(Boolean);
}

/** Ties go by count, then by name, so that rows do not jump. */
export function sortGroups<G extends Group>(list: G[], by: keyof G, descending: boolean): G[] {
  const sign = descending ? -1 : 1;
  return [...list].sort((a, b) => {
    const [x, y] = [a[by], b[by]];
    return (x < y ? -sign : x > y ? sign : 0) || b.count - a.count || (a.key < b.key ? -1 : 1);
  });
}

/** Whether each word of a search is in what the group says. */
export function matchesGroup<G extends Group>(g: G, search: string, more: (g: G) => string[] = () => []): boolean {
  const text = [g.title, g.container, ...g.outcomes.map((o) => o.name), ...g.programs, ...more(g)].join(' ').toLowerCase();
  return search.toLowerCase().split(/\s+/).every((w) => text.includes(w));
}
