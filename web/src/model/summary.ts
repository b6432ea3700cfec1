// SPDX-License-Identifier: Apache-2.0

import { type Connection, type Dns, type Exec, type Exit, type FileOperation, type Record as Rec, RecordSchema, type UnixConnect, type HostCall, type Loss } from '../api/skep/v1/record_pb';
import { bytes, count, endpoint, nanos } from './format';
import { type Fields, fields, type Value } from './json';
import { baseName, commandLine } from './text';

/** Says in one line what a record tells beyond its process. */
export function summary(r: Rec): string {
  return known(r) || generic(r);
}

function known(r: Rec): string {
  switch (r.body.case) {
    case 'fork':
      return `child of ${r.process?.ppid ?? '?'}`;
    case 'exec':
      return ofExec(r.body.value);
    case 'exit':
      return ofExit(r.body.value);
    case 'oom':
      return `killed for memory: ${bytes(r.body.value.usageBytes)} used of ${bytes(r.body.value.limitBytes)} in ${r.body.value.cgroup || 'the whole host'}`;
    case 'connection':
      return ofConnection(r.kind, r.body.value);
    case 'dns':
      return ofDns(r.body.value);
    case 'file':
      return ofFile(r.body.value);
    case 'unix':
      return ofUnix(r.body.value);
    case 'host':
      return ofHost(r.body.value);
    case 'loss':
      return ofLoss(r.body.value);
    case 'agent':
      return `agent ${r.body.value.event} ${r.body.value.detail}`.trim();
  }
  return '';
}

/** How many is 0 where that is not known, or not yet. What a program that was not run would have recorded is never known. */
function ofLoss(l: Loss): string {
  if (l.place === 'program_missed') return `${count(l.count)} runs of a program missed: ${l.detail}`;
  const what = l.count ? `${count(l.count)} ${l.lostKind} ` : '';
  return `${what}records lost: ${l.place} ${l.detail}`.trim();
}

/** The body’s fields under their names; of one that this page’s schema does not have, whose it is. */
export function generic(r: Rec): string {
  const all = fields(RecordSchema, r);
  const body = RecordSchema.fields.filter((f) => f.oneof).map((f) => all.get(f.name)).find(Boolean);
  if (body instanceof Map && body.size) return words(body);
  return `${r.kind || 'record'} of ${baseName(r.process?.exe ?? '') || 'the host'}${body ? '' : '; what it holds is new to this page'}`;
}

function words(body: Fields): string {
  const word = (v: Value): string => (v instanceof Map ? `(${words(v)})` : Array.isArray(v) ? v.map(word).join(',') : String(v));
  return [...body].map(([name, v]) => `${name}=${word(v)}`).join(' ');
}

function ofExec(e: Exec): string {
  const flags = [e.setuid && 'setuid', e.setgid && 'setgid', e.fileCaps && 'file caps', e.memfd && 'memfd', e.unlinked && 'unlinked', e.enteredContainer && 'entered container'].filter(Boolean);
  return commandLine(e.args) + (e.argsTruncated ? ' …' : '') + (flags.length ? `  [${flags.join(', ')}]` : '');
}

export function exitWord(e: Exit): string {
  return e.signal ? `${e.signalName || 'signal ' + e.signal}${e.coreDumped ? ', core dumped' : ''}` : `code ${e.code}`;
}

function ofExit(e: Exit): string {
  return `${exitWord(e)} after ${nanos(e.durationNs)}, cpu ${nanos(e.userNs + e.systemNs)}, max rss ${bytes(e.maxRssBytes)}`;
}

function ofConnection(kind: string, c: Connection): string {
  if (kind === 'listen') return `on ${endpoint(c.local)}, backlog ${c.backlog}`;
  const arrow = c.direction === 'inbound' ? '←' : '→';
  const peer = c.peer?.comm || c.peer?.exe ? ` (${c.peer.comm || baseName(c.peer.exe)} ${c.peer.pid})` : '';
  const name = c.remoteName && ` ${c.remoteName}`;
  const ends = `${endpoint(c.local)} ${arrow} ${endpoint(c.remote)}${name}${peer}`;
  if (c.errorName) return `${ends} failed: ${c.errorName}`;
  if (kind === 'udp')
    return `${ends}  sent ${bytes(c.bytesSent)} in ${c.packetsSent}, received ${bytes(c.bytesReceived)} in ${c.packetsReceived}, ${c.closeReason || 'so far'} after ${nanos(c.durationNs)}`;
  if (kind !== 'close') return ends;
  const retrans = c.retransmits ? `, ${c.retransmits} retransmits` : '';
  return `${ends}  sent ${bytes(c.bytesSent)}, received ${bytes(c.bytesReceived)}${retrans}, ${c.closeReason} after ${nanos(c.durationNs)}`;
}

function ofDns(d: Dns): string {
  const asked = `${d.type} ${d.name} → ${endpoint(d.server)}`;
  if (!d.rcode) return `${asked} ${d.outcome} after ${nanos(d.latencyNs)}`;
  const answers = d.answers.map((a) => (a.type === d.type ? a.data : `${a.type}=${a.data}`)).join(' ');
  return `${asked} ${d.rcode} ${answers} in ${nanos(d.latencyNs)}`;
}

function ofFile(f: FileOperation): string {
  const other = f.newPath || f.target;
  const details = [f.mode, f.owner, f.flags].filter(Boolean).join(' ');
  const end = f.errorName ? ` failed: ${f.errorName}` : f.resultUnknown ? ' [result unknown]' : '';
  return `${f.operation} ${f.path}${other && ` → ${other}`} ${details}`.trim() + end;
}

function ofUnix(u: UnixConnect): string {
  const peer = u.peer ? ` (${[u.peer.comm || baseName(u.peer.exe), u.peer.pid].filter(Boolean).join(' ')}${u.peerGone ? ', gone' : ''})` : '';
  return `→ ${u.pathUnknown ? '(name not known)' : u.path}${peer}` + (u.errorName ? ` failed: ${u.errorName}` : '');
}

function ofHost(h: HostCall): string {
  const what = [h.request, h.signalName, h.capability, h.programType, h.namespaces.join(','), h.requested, h.name, h.source].filter(Boolean).join(' ');
  const target = h.target ? `${h.target.comm || baseName(h.target.exe)} ${h.target.pid}` : h.path || (h.targetPid && `${h.targetPid}`) || '';
  const ids = h.idsBefore !== h.idsAfter ? `${h.idsBefore} → ${h.idsAfter}` : '';
  const end = h.errorName ? ` failed: ${h.errorName}` : h.delivery && h.delivery !== 'delivered' ? ` [${h.delivery}]` : '';
  return [h.call, what, target && `→ ${target}`, h.fstype, h.flags, ids].filter(Boolean).join(' ') + end;
}

/** Whether a record deserves the eye. */
export function alarming(r: Rec): boolean {
  switch (r.body.case) {
    case 'exit':
      return r.body.value.signal !== 0 || r.body.value.code !== 0;
    case 'connection':
    case 'file':
    case 'unix':
    case 'host':
      return r.body.value.errorName !== '';
    case 'dns':
      return r.body.value.outcome === 'unanswered' || r.body.value.rcode === 'SERVFAIL';
    case 'loss':
    case 'oom':
      return true;
  }
  return false;
}
