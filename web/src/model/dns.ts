// SPDX-License-Identifier: Apache-2.0

import type { Dns, Record as Rec } from '../api/skep/v1/record_pb';
import { endpoint, millis } from './format';
import { baseName } from './text';

/** What questions are grouped by. */
export type By = 'name' | 'server' | 'process';

export type Column = 'title' | 'questions' | 'failed' | 'medianNs' | 'worstNs' | 'newestMs';

/** Questions that have the name, the server or the process in common, newest first. */
export interface Group {
  key: string;
  title: string;
  /** Of a group by process. */
  container: string;
  records: Rec[];
  questions: number;
  failed: number;
  /** How often each outcome was there, failures first. */
  outcomes: [string, number][];
  types: string[];
  names: string[];
  servers: string[];
  programs: string[];
  /** Of the newest question that was answered. */
  answer: string;
  /** Of answered questions; 0 without one. */
  medianNs: number;
  worstNs: number;
  newestMs: number;
}

/** An answer that came after its question was told as unanswered: that is at 5 s. */
function late(d: Dns): boolean {
  return d.outcome === 'answered' && d.latencyNs > 5_000_000_000n;
}

/** How a question ended: its response code, or what became of it without an answer. */
export function outcome(d: Dns): string {
  return d.outcome === 'answered' ? d.rcode + (late(d) ? ' too late' : '') : d.outcome;
}

/** Whether whoever asked got nothing of use. What nobody asked, and what skep stopped waiting for, is no failure. */
export function failed(d: Dns): boolean {
  return d.outcome === 'unanswered' || (d.outcome === 'answered' && d.rcode !== 'NOERROR' && !late(d));
}

/** Answers in short: what the name stands for in the end. */
export function answers(d: Dns): string {
  const last = d.answers.filter((a) => a.type === d.type);
  const all = last.length ? last : d.answers;
  return all.map((a) => a.data).join(' ') + (d.answersOmitted ? ` and ${d.answersOmitted} more` : '');
}

export function dnsOf(r: Rec): Dns | undefined {
  return r.body.case === 'dns' ? r.body.value : undefined;
}

const program = (r: Rec) => r.process?.comm || baseName(r.process?.exe ?? '') || 'unknown process';

/** The root of the name tree has a name, and what could not be decoded has none. */
const nameOf = (d: Dns) => d.name || '(no name)';

function keyOf(r: Rec, d: Dns, by: By): string {
  if (by === 'name') return d.name.toLowerCase();
  if (by === 'server') return endpoint(d.server);
  // The programs of one container together, not each of their processes.
  return `${r.process?.container?.id ?? ''} ${r.process?.exe || program(r)}`;
}

/** Groups the records of kind dns; others are passed over. */
export function groups(records: Rec[], by: By): Group[] {
  const out = new Map<string, Group>();
  for (const r of records.toReversed()) {
    const d = dnsOf(r);
    if (!d) continue;
    const key = keyOf(r, d, by);
    let g = out.get(key);
    if (!g) {
      const title = by === 'name' ? nameOf(d) : by === 'server' ? endpoint(d.server) : program(r);
      g = { key, title, container: '', records: [], questions: 0, failed: 0, outcomes: [], types: [], names: [], servers: [], programs: [], answer: '', medianNs: 0, worstNs: 0, newestMs: 0 };
      if (by === 'process') g.container = r.process?.container?.name || (r.process?.container?.id ?? '').slice(0, 12);
      out.set(key, g);
    }
    g.records.push(r);
  }
  for (const g of out.values()) measure(g);
  return [...out.values()];
}

function measure(g: Group) {
  const outcomes = new Map<string, { failed: boolean; count: number }>();
  const [types, names, servers, programs] = [new Set<string>(), new Set<string>(), new Set<string>(), new Set<string>()];
  const latencies: number[] = [];
  for (const r of g.records) {
    const d = dnsOf(r)!;
    const bad = failed(d);
    const name = outcome(d) || 'unknown';
    const seen = outcomes.get(name);
    outcomes.set(name, { failed: bad, count: (seen?.count ?? 0) + 1 });
    if (d.outcome !== 'unmatched' && !late(d)) g.questions++;
    if (bad) g.failed++;
    types.add(d.type);
    names.add(nameOf(d));
    servers.add(endpoint(d.server));
    programs.add(program(r));
    g.answer ||= d.outcome === 'answered' ? answers(d) : '';
    if (d.outcome === 'answered') latencies.push(Number(d.latencyNs));
    g.newestMs = Math.max(g.newestMs, millis(r.time));
  }
  latencies.sort((a, b) => a - b);
  g.medianNs = latencies[latencies.length >> 1] ?? 0;
  g.worstNs = latencies.at(-1) ?? 0;
  g.types = [...types].sort();
  g.names = [...names].sort();
  g.servers = [...servers].sort();
  g.programs = [...programs].sort();
  g.outcomes = [...outcomes].sort(([, a], [, b]) => Number(b.failed) - Number(a.failed) || b.count - a.count).map(([name, o]) => [name, o.count]);
}

/** Ties go by questions, then by name, so that rows do not jump. */
export function sortGroups(list: Group[], by: Column, descending: boolean): Group[] {
  const sign = descending ? -1 : 1;
  return [...list].sort((a, b) => {
    const [x, y] = [a[by], b[by]];
    return (x < y ? -sign : x > y ? sign : 0) || b.questions - a.questions || (a.key < b.key ? -1 : 1);
  });
}

export function matchesGroup(g: Group, search: string): boolean {
  const lists = [g.types, g.outcomes.map(([name]) => name), g.names, g.servers, g.programs];
  const text = `${g.title} ${g.container} ${lists.map((l) => l.join(' ')).join(' ')} ${g.answer}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((w) => text.includes(w));
}
