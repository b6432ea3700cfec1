// SPDX-License-Identifier: Apache-2.0

import type { FileOperation, Record as Rec } from '../api/skep/v1/record_pb';
import { distinct, group, type Group, inContainer, type Place, programPlace, tally, type Tally } from './groups';
import { middle } from './text';

/** What operations are grouped by. */
export type By = 'path' | 'directory' | 'operation' | 'process';

/** Operations that have a path, a directory, the operation or the program in common. */
export interface FileGroup extends Group {
  operations: Tally[];
  /** Newest first: sorting many that are long and begin alike would keep the page busy. */
  paths: string[];
}

export function fileOf(r: Rec): FileOperation | undefined {
  return r.body.case === 'file' ? r.body.value : undefined;
}

/** How an operation ended: done, the name of its error, or unknown. */
export function result(f: FileOperation): string {
  return f.errorName || (f.error ? `error ${f.error}` : f.resultUnknown ? 'result unknown' : 'done');
}

/** Whether it was tried in vain. */
export function failed(f: FileOperation): boolean {
  return f.error !== 0 || f.errorName !== '';
}

/** What was asked for: permissions, owner, flags. */
export function details(f: FileOperation): string {
  return [f.mode, f.owner, f.flags].filter(Boolean).join(' ');
}

/** What it was done to, in so many characters at most; a path that could not be read is none. */
export function subject(f: FileOperation, most = Infinity): string {
  const path = (f.pathTruncated ? '…' : '') + (f.path || '(no path)');
  const other = f.newPath || f.target;
  return other ? `${middle(path, most / 2)} → ${middle(other, most / 2)}` : middle(path, most);
}

/** The paths of an operation: of a rename and of a link there are two. */
function pathsOf(f: FileOperation): string[] {
  return f.newPath && f.newPath !== f.path ? [f.path, f.newPath] : [f.path];
}

/** The directory that a path is in. */
export function directory(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || (path.startsWith('/') ? '/' : '');
}

/** A rename is with both of its names: with what was and with what there is now. */
function placesOf(r: Rec, f: FileOperation, by: By): Place[] {
  switch (by) {
    case 'process':
      return [programPlace(r)];
    case 'operation':
      return [{ key: f.operation, title: f.operation, container: '' }];
    case 'directory':
      return [...new Set(pathsOf(f).map(directory))].map((d) => inContainer(r, d, d || '(no path)'));
    case 'path':
      return pathsOf(f).map((p) => inContainer(r, p, p || '(no path)'));
  }
}

/** Groups the records of kind file; others are passed over. A path of a container is not that of another. */
export function groups(records: Rec[], by: By): FileGroup[] {
  const places = (r: Rec) => {
    const f = fileOf(r);
    return f ? placesOf(r, f, by) : [];
  };
  const told = (r: Rec) => ({ outcome: result(fileOf(r)!), failed: failed(fileOf(r)!), counts: true });
  return group(records, places, told).map((g) => ({
    ...g,
    operations: tally(g.records, (r) => fileOf(r)!.operation, (r) => failed(fileOf(r)!)),
    paths: distinct(g.records, (r) => subject(fileOf(r)!)),
  }));
}

/** What a search of the groups looks into beside their titles, outcomes and programs. */
export const words = (g: FileGroup) => [...g.operations.map((o) => o.name), ...g.paths];
