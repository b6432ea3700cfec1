// SPDX-License-Identifier: Apache-2.0

import type { ConnectionInfo } from '../api/skep/v1/agent_pb';
import type { Peer, Process } from '../api/skep/v1/record_pb';
import { millis } from './format';
import { baseName } from './text';

/** One side of a conversation: a program in a container, or an address. */
export interface Party {
  key: string;
  name: string;
  detail: string;
  container: string;
  local: boolean;
}

/** One connection, seen from the client. */
export interface Conversation {
  key: string;
  info: ConnectionInfo;
  toServer: number;
  toClient: number;
}

/** Who talks to whom, on which port. */
export interface Edge {
  key: string;
  client: Party;
  server: Party;
  port: number;
  conversations: Conversation[];
  open: number;
  failed: number;
  toServer: number;
  toClient: number;
  rttUs: number;
  retransmits: number;
  newestMs: number;
}

export type Column = 'client' | 'server' | 'port' | 'open' | 'failed' | 'toServer' | 'toClient' | 'rttUs' | 'retransmits' | 'newestMs';

/** Groups connections; both ends of one on this host count once. */
export function edges(list: ConnectionInfo[]): Edge[] {
  const names = containerNames(list);
  const out = new Map<string, Edge>();
  const seen = new Map<string, Conversation>();
  // Outbound first: that end knows both sides, the accepting end fills gaps.
  for (const info of [...list].sort((a, b) => rank(a) - rank(b))) {
    const c = info.connection;
    if (!c || c.direction === 'listen' || info.state === 'LISTEN') continue;
    const edge = edgeOf(info, names, out);
    const twin = c.communityId && c.direction === 'inbound' ? seen.get(`${edge.key} ${c.communityId}`) : undefined;
    if (twin) continue;
    const conversation = { key: `${info.process?.execId} ${c.communityId} ${c.netns} ${c.local?.port} ${millis(info.opened)}`, info, ...flows(info) };
    if (c.communityId && c.direction === 'outbound') seen.set(`${edge.key} ${c.communityId}`, conversation);
    add(edge, conversation);
  }
  for (const e of out.values()) e.rttUs = median(e.conversations.map((c) => c.info.connection!.rttUs).filter((n) => n > 0));
  return [...out.values()].filter((e) => e.conversations.length > 0);
}

function rank(i: ConnectionInfo): number {
  return i.connection?.direction === 'outbound' ? 0 : 1;
}

function edgeOf(info: ConnectionInfo, names: Map<string, string>, all: Map<string, Edge>): Edge {
  const c = info.connection!;
  const mine = ofProcess(info.process);
  const other = c.peer?.execId || c.peer?.exe ? ofPeer(c.peer, names) : ofAddress(c.remote?.address ?? '');
  const outbound = c.direction !== 'inbound';
  const [client, server] = outbound ? [mine, other] : [other, mine];
  const port = (outbound ? c.remote?.port : c.local?.port) ?? 0;
  const key = `${client.key}|${server.key}|${port}`;
  let edge = all.get(key);
  if (!edge) {
    edge = { key, client, server, port, conversations: [], open: 0, failed: 0, toServer: 0, toClient: 0, rttUs: 0, retransmits: 0, newestMs: 0 };
    all.set(key, edge);
  }
  return edge;
}

function flows(info: ConnectionInfo): { toServer: number; toClient: number } {
  const c = info.connection!;
  const [sent, received] = [Number(c.bytesSent), Number(c.bytesReceived)];
  return c.direction === 'inbound' ? { toServer: received, toClient: sent } : { toServer: sent, toClient: received };
}

function add(e: Edge, v: Conversation) {
  const c = v.info.connection!;
  e.conversations.push(v);
  if (c.errorName || v.info.state === 'FAILED') e.failed++;
  else if (v.info.state !== 'CLOSED') e.open++;
  e.toServer += v.toServer;
  e.toClient += v.toClient;
  e.retransmits += c.retransmits;
  e.newestMs = Math.max(e.newestMs, millis(v.info.opened));
}

export function ofProcess(p: Process | undefined): Party {
  const name = p?.exe || p?.comm || 'unknown process';
  const container = p?.container?.name || (p?.container?.id ?? '').slice(0, 12);
  return { key: `p ${p?.container?.id ?? ''} ${name}`, name: baseName(name), detail: name, container, local: true };
}

function ofPeer(p: Peer, names: Map<string, string>): Party {
  const name = p.exe || p.comm || 'unknown process';
  return { key: `p ${p.containerId} ${name}`, name: baseName(name), detail: name, container: names.get(p.containerId) ?? p.containerId.slice(0, 12), local: true };
}

function ofAddress(address: string): Party {
  return { key: `a ${address}`, name: address, detail: 'another host, or a process that skep does not know', container: '', local: false };
}

function containerNames(list: ConnectionInfo[]): Map<string, string> {
  const out = new Map<string, string>();
  for (const { process } of list) {
    if (process?.container?.name) out.set(process.container.id, process.container.name);
  }
  return out;
}

function median(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[values.length >> 1] ?? 0;
}

function value(e: Edge, by: Column): string | number {
  return by === 'client' || by === 'server' ? `${e[by].container} ${e[by].name}` : e[by];
}

export function sortEdges(list: Edge[], by: Column, descending: boolean): Edge[] {
  const sign = descending ? -1 : 1;
  return [...list].sort((a, b) => {
    const [x, y] = [value(a, by), value(b, by)];
    return (x < y ? -sign : x > y ? sign : 0) || (a.key < b.key ? -1 : 1);
  });
}

export function matchesEdge(e: Edge, search: string): boolean {
  const text = `${e.client.container} ${e.client.detail} ${e.client.name} ${e.server.container} ${e.server.detail} ${e.server.name} :${e.port}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((w) => text.includes(w));
}
