// SPDX-License-Identifier: Apache-2.0

import type { Dns, Record as Rec } from '../api/skep/v1/record_pb';
import { endpoint } from './format';
import { distinct, group, type Group, type Place, programPlace } from './groups';

/** What questions are grouped by. */
export type By = 'name' | 'server' | 'process';

/** Questions that have the name, the server or the process in common. */
export interface DnsGroup extends Group {
  types: string[];
  names: string[];
  servers: string[];
  /** Of the newest question that was answered. */
  answer: string;
  /** Of answered questions; 0 without one. */
  medianNs: number;
  worstNs: number;
}

/** An answer that came after its question was told as unanswered: that is at 5 s. */
function late(d: Dns): boolean {
  return d.outcome === 'answered' && d.latencyNs > 5_000_000_000n;
}

/** How a question ended: its response code, or what became of it without an answer. */
export function outcome(d: Dns): string {
  return (d.outcome === 'answered' ? d.rcode + (late(d) ? ' too late' : '') : d.outcome) || 'unknown';
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

/** The root of the name tree has a name, and what could not be decoded has none. */
const nameOf = (d: Dns) => d.name || '(no name)';

function placeOf(r: Rec, d: Dns, by: By): Place {
  if (by === 'process') return programPlace(r);
  if (by === 'server') return { key: endpoint(d.server), title: endpoint(d.server), container: '' };
  return { key: d.name.toLowerCase(), title: nameOf(d), container: '' };
}

/** Groups the records of kind dns; others are passed over. */
export function groups(records: Rec[], by: By): DnsGroup[] {
  const placesOf = (r: Rec) => {
    const d = dnsOf(r);
    return d ? [placeOf(r, d, by)] : [];
  };
  const told = (r: Rec) => {
    const d = dnsOf(r)!;
    return { outcome: outcome(d), failed: failed(d), counts: d.outcome !== 'unmatched' && !late(d) };
  };
  return group(records, placesOf, told).map(measure);
}

function measure(g: Group): DnsGroup {
  const answered = g.records.map((r) => dnsOf(r)!).filter((d) => d.outcome === 'answered');
  const latencies = answered.map((d) => Number(d.latencyNs)).sort((a, b) => a - b);
  return {
    ...g,
    types: distinct(g.records, (r) => dnsOf(r)!.type).sort(),
    names: distinct(g.records, (r) => nameOf(dnsOf(r)!)).sort(),
    servers: distinct(g.records, (r) => endpoint(dnsOf(r)!.server)).sort(),
    answer: answered.map(answers).find(Boolean) ?? '',
    medianNs: latencies[latencies.length >> 1] ?? 0,
    worstNs: latencies.at(-1) ?? 0,
  };
}

/** What a search of the groups looks into beside their titles, outcomes and programs. */
export const words = (g: DnsGroup) => [...g.types, ...g.names, ...g.servers, g.answer];
