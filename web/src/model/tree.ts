// SPDX-License-Identifier: Apache-2.0

import type { Row } from './processes';

/** A line of the process list: a process, or the head of a container's group. */
export interface Line {
  key: string;
  level: number;
  /** Lines below this one that it can hide. */
  below: number;
  collapsed: boolean;
  row?: Row;
  group?: { id: string; name: string; processes: number };
  /** Shown only because something below it matches. */
  context: boolean;
}

export interface View {
  search: string;
  container: string;
  grouped: boolean;
  collapsed: ReadonlySet<string>;
}

/** Whether a row is kthreadd, the parent of the kernel's threads. */
export function isKernel(r: Row): boolean {
  return r.pid === 2 && r.ppid === 0 && !r.exe;
}

interface Node {
  row: Row;
  children: Node[];
  match: boolean;
  depth: number;
  size: number;
}

/** The list that a view of the process table shows, from top to bottom. */
export function lines(rows: Iterable<Row>, view: View): Line[] {
  const wanted = matcher(view);
  const out: Line[] = [];
  for (const [id, members] of groups(rows, view.grouped)) {
    const roots = build(members, wanted);
    const size = roots.reduce((n, r) => n + r.size, 0);
    if (size === 0) continue;
    if (!view.grouped) {
      emit(roots, 1, view, out);
      continue;
    }
    const key = `group ${id}`;
    const collapsed = view.collapsed.has(key);
    const name = members.find((m) => m.container)?.container ?? '';
    out.push({ key, level: 1, below: size, collapsed, group: { id, name, processes: size }, context: false });
    if (!collapsed) emit(roots, 2, view, out);
  }
  return out;
}

function matcher(view: View): (r: Row) => boolean {
  const words = view.search.toLowerCase().split(/\s+/).filter(Boolean);
  return (r) =>
    (!view.container || (view.container === 'host' ? !r.containerId : r.containerId === view.container)) &&
    words.every((w) => String(r.pid) === w || `${r.comm} ${r.exe} ${r.command} ${r.container} ${r.unit}`.toLowerCase().includes(w));
}

function groups(rows: Iterable<Row>, grouped: boolean): Map<string, Row[]> {
  const out = new Map<string, Row[]>();
  for (const r of rows) {
    const id = grouped ? r.containerId : '';
    const list = out.get(id);
    if (list) list.push(r);
    else out.set(id, [r]);
  }
  // The host last: its processes are many, and known.
  return new Map([...out].sort(([a, x], [b, y]) => +!a - +!b || (x[0]!.container < y[0]!.container ? -1 : 1)));
}

/** Deeper trees than any honest host has are cut, or recursion could overflow. */
const maxDepth = 200;

/** Links each row to its parent and orders siblings by start. */
function build(rows: Row[], wanted: (r: Row) => boolean): Node[] {
  const byExec = new Map<string, Node>();
  const byPid = new Map<number, Node>();
  const nodes = rows.map((row): Node => ({ row, children: [], match: wanted(row), depth: 0, size: 0 }));
  // A parent comes before its children here, so no data can make a cycle, and
  // a reused pid is nobody's parent.
  nodes.sort((a, b) => a.row.startedMs - b.row.startedMs || a.row.pid - b.row.pid);
  const roots: Node[] = [];
  for (const n of nodes) {
    const parent = byExec.get(n.row.parentExecId) ?? byPid.get(n.row.ppid);
    if (parent && parent.depth < maxDepth) {
      n.depth = parent.depth + 1;
      parent.children.push(n);
    } else {
      roots.push(n);
    }
    byExec.set(n.row.execId, n);
    byPid.set(n.row.pid, n);
  }
  // The kernel's threads are many and say little: last.
  roots.sort((a, b) => +isKernel(a.row) - +isKernel(b.row));
  return prune(roots);
}

function prune(nodes: Node[]): Node[] {
  return nodes.filter((n) => {
    n.children = prune(n.children);
    const keep = n.match || n.children.length > 0;
    n.size = (keep ? 1 : 0) + n.children.reduce((s, c) => s + c.size, 0);
    return keep;
  });
}

function emit(nodes: Node[], level: number, view: View, out: Line[]) {
  for (const n of nodes) {
    // A search opens what it finds.
    const collapsed = !view.search && view.collapsed.has(n.row.id);
    out.push({ key: n.row.id, level, below: n.size - 1, collapsed, row: n.row, context: !n.match });
    if (!collapsed) emit(n.children, level + 1, view, out);
  }
}
