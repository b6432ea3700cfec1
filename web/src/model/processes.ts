// SPDX-License-Identifier: Apache-2.0

import { create } from '@bufbuild/protobuf';
import type { ProcessInfo } from '../api/skep/v1/agent_pb';
import { type Exit, type Process, ProcessSchema, type Record as Rec } from '../api/skep/v1/record_pb';
import { millis } from './format';
import { commandLine } from './text';

/** One row of the process table, with what the list shows and searches. */
export interface Row {
  id: string;
  execId: string;
  parentExecId: string;
  pid: number;
  ppid: number;
  comm: string;
  exe: string;
  command: string;
  uid: number;
  containerId: string;
  container: string;
  unit: string;
  startedMs: number;
  connections: number;
  preexisting: boolean;
  exitedMs: number;
  exit: Exit | undefined;
}

/** How long a row stays after its process ended. */
export const fadeMs = 4000;
/** Rows that fade at once at most: thousands of short processes are no list to read. */
const maxFading = 200;

function ofProcess(p: Process): Row {
  return {
    id: p.processId, execId: p.execId, parentExecId: p.parentExecId, pid: p.pid, ppid: p.ppid,
    comm: p.comm, exe: p.exe, command: '', uid: p.uid,
    containerId: p.container?.id ?? '', container: p.container?.name || (p.container?.id ?? '').slice(0, 12),
    unit: p.unit, startedMs: 0, connections: 0, preexisting: p.preexisting, exitedMs: 0, exit: undefined,
  };
}

/** The row of a process in the agent's list. */
export function ofInfo(i: ProcessInfo): Row {
  const row = ofProcess(i.process ?? create(ProcessSchema));
  row.command = commandLine(i.args);
  row.startedMs = millis(i.started);
  row.connections = i.connections;
  row.exitedMs = millis(i.exited);
  row.exit = i.exit;
  return row;
}

/** The process table: the agent's list, kept up with the stream in between. */
export class ProcessTable {
  rows = new Map<string, Row>();

  /** Takes the agent's list as the truth; what it no longer has fades. */
  replace(list: Row[], now: number) {
    const next = new Map(list.map((row) => [row.id, row]));
    for (const [id, row] of this.rows) {
      if (next.has(id)) continue;
      row.exitedMs ||= now;
      if (now - row.exitedMs < fadeMs) next.set(id, row);
    }
    this.rows = next;
  }

  /** Applies news of the stream; reports whether any row changed. */
  apply(news: Rec[]): boolean {
    let changed = false;
    for (const r of news) changed = this.#applyOne(r) || changed;
    return changed;
  }

  #applyOne(r: Rec): boolean {
    const p = r.process;
    if (!p) return false;
    const old = this.rows.get(p.processId);
    if (r.body.case === 'exit') {
      if (!old) return false;
      this.rows.set(p.processId, { ...old, exitedMs: millis(r.time), exit: r.body.value });
      return true;
    }
    if (r.body.case !== 'fork' && r.body.case !== 'exec') return false;
    const row = ofProcess(p);
    row.startedMs = old?.startedMs || millis(r.time);
    row.connections = old?.connections ?? 0;
    row.command = r.body.case === 'exec' ? commandLine(r.body.value.args) : (old?.command ?? '');
    this.rows.set(p.processId, row);
    return true;
  }

  /** Drops the rows that have faded. */
  sweep(now: number): boolean {
    const fading = [...this.rows.values()].filter((r) => r.exitedMs).sort((a, b) => b.exitedMs - a.exitedMs);
    const gone = fading.filter((r, i) => i >= maxFading || now - r.exitedMs >= fadeMs);
    for (const r of gone) this.rows.delete(r.id);
    return gone.length > 0;
  }
}
