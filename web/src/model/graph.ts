// SPDX-License-Identifier: Apache-2.0

import type { Edge, Party } from './edges';

export interface Box {
  key: string;
  party: Party;
  /** How many addresses a box of others stands for. */
  addresses: number;
  x: number;
  y: number;
}

export interface Wire {
  key: string;
  from: Box;
  to: Box;
  ports: number[];
  connections: number;
  failed: number;
  bytes: number;
}

export interface Drawing {
  boxes: Box[];
  wires: Wire[];
  width: number;
  height: number;
}

export const boxWidth = 190;
export const boxHeight = 44;
const gapX = 130;
const gapY = 18;
const margin = 24;

/** Lays services out in columns, clients left of their servers. */
export function draw(edges: Edge[]): Drawing {
  const boxes = new Map<string, Box>();
  const wires = new Map<string, Wire>();
  for (const e of edges) {
    const [from, to] = [box(boxes, e.client, 'in'), box(boxes, e.server, 'out')];
    const key = `${from.key}>${to.key}`;
    const w = wires.get(key) ?? { key, from, to, ports: [], connections: 0, failed: 0, bytes: 0 };
    wires.set(key, w);
    if (!w.ports.includes(e.port)) w.ports.push(e.port);
    w.connections += e.conversations.length;
    w.failed += e.failed;
    w.bytes += e.toServer + e.toClient;
    if (!e.client.local) from.addresses++;
    if (!e.server.local) to.addresses++;
  }
  return place([...boxes.values()], [...wires.values()]);
}

/** Addresses of no process that skep knows are one box on each side, or they would be all there is. */
function box(all: Map<string, Box>, p: Party, side: string): Box {
  const key = p.local ? p.key : `others ${side}`;
  let b = all.get(key);
  if (!b) {
    b = { key, party: p, addresses: 0, x: 0, y: 0 };
    all.set(key, b);
  }
  return b;
}

function place(boxes: Box[], wires: Wire[]): Drawing {
  const column = new Map(boxes.map((b) => [b, 0]));
  // Longest path from the left; the bound ends it where services call each other in circles.
  for (let round = 0; round < Math.min(boxes.length, 6); round++) {
    for (const w of wires) {
      if (w.from !== w.to) column.set(w.to, Math.max(column.get(w.to)!, Math.min(5, column.get(w.from)! + 1)));
    }
  }
  const used = [...new Set(column.values())].sort((a, b) => a - b);
  const columns = used.map((c) => boxes.filter((b) => column.get(b) === c).sort((a, b) => (a.key < b.key ? -1 : 1)));
  const tallest = Math.max(1, ...columns.map((c) => c.length));
  const height = margin * 2 + tallest * (boxHeight + gapY);
  columns.forEach((list, i) => {
    const top = (height - list.length * (boxHeight + gapY) + gapY) / 2;
    // Near those that call it: fewer wires cross.
    const callers = new Map(list.map((b) => [b, mean(wires.filter((w) => w.to === b && w.from.y > 0).map((w) => w.from.y))]));
    list.sort((a, b) => callers.get(a)! - callers.get(b)!);
    list.forEach((b, j) => {
      b.x = margin + i * (boxWidth + gapX);
      b.y = top + j * (boxHeight + gapY);
    });
  });
  return { boxes, wires, width: margin * 2 + columns.length * (boxWidth + gapX) - gapX, height };
}

function mean(values: number[]): number {
  return values.length ? values.reduce((a, b) => a + b) / values.length : 0;
}

/** The curve of a wire, from the right of one box to the left of the other. */
export function curve(w: Wire): string {
  const [x1, y1] = [w.from.x + boxWidth, w.from.y + boxHeight / 2];
  const [x2, y2] = [w.to.x, w.to.y + boxHeight / 2];
  const bend = Math.max(50, Math.abs(x2 - x1) / 2);
  return `M${x1},${y1}C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`;
}
