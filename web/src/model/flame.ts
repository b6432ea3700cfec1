// SPDX-License-Identifier: Apache-2.0

import type { TracePrint } from '../api/skep/v1/trace_pb';
import { amount, frames, show } from './tool';

/** A function, how often it was seen, and what it called. */
export interface Flame {
  name: string;
  total: number;
  children: Map<string, Flame>;
}

/** A box of a flame graph: where it begins and how wide it is, both as a share of the whole. */
export interface Box {
  flame: Flame;
  /** The names from the root to it, which tell it from all others: see between. */
  path: string;
  depth: number;
  left: number;
  width: number;
}

/** What is in no name: those of processes may have anything else, also line ends. */
export const between = '\0';

function flame(name: string): Flame {
  return { name, total: 0, children: new Map() };
}

/**
 * Adds the stacks of a map up, from the outermost function in. Parts of a key that are no
 * stacks, such as a command, stand before them; of several stacks a user's stands before the kernel's.
 */
export function flames(print: TracePrint): Flame {
  const root = flame('all');
  for (const e of print.entries) {
    const n = amount(e.value);
    const plain = e.key.filter((k) => k.kind.case !== 'stack').map((k) => show(k));
    const stacks = e.key.flatMap((k) => (k.kind.case === 'stack' ? [k.kind.value] : []));
    stacks.sort((a, b) => Number(b.frames.some((f) => f.user)) - Number(a.frames.some((f) => f.user)));
    let at = root;
    at.total += n;
    for (const name of [...plain, ...stacks.flatMap((s) => frames(s).reverse())]) {
      let next = at.children.get(name);
      if (!next) at.children.set(name, (next = flame(name)));
      next.total += n;
      at = next;
    }
  }
  return root;
}

/** Narrower than this nobody sees a box. */
const least = 0.001;

/** Lays a flame out, the widest calls to the left. Boxes that are too narrow are left out. */
export function boxes(of: Flame): Box[] {
  const all: Box[] = [];
  const place = (f: Flame, path: string, depth: number, left: number) => {
    const width = of.total ? f.total / of.total : 0;
    if (width < least) return;
    all.push({ flame: f, path, depth, left, width });
    let at = left;
    for (const c of [...f.children.values()].sort((a, b) => b.total - a.total)) {
      place(c, path + between + c.name, depth + 1, at);
      at += c.total / of.total;
    }
  };
  place(of, of.name, 0, 0);
  return all;
}

/** The flame at a path of names, or the root if that is gone. */
export function find(root: Flame, path: string): Flame {
  let at = root;
  for (const name of path.split(between).slice(1)) {
    const next = at.children.get(name);
    if (!next) return root;
    at = next;
  }
  return at;
}
