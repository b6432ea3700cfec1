// SPDX-License-Identifier: Apache-2.0

import { create, type DescMessage, type DescMethodUnary, fromBinary, type MessageInitShape, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { Code, ConnectError } from '@connectrpc/connect';
import { callTimeout, pause } from './client';

/** How long the main thread works on a list at a stretch. */
const sliceMs = 8;

export interface Listed<T> {
  items: T[];
  total: number;
}

/**
 * A unary call whose answer is a list (field 1) and its total (field 2), as
 * ListProcesses and ListConnections have it. A table of thousands takes too
 * long to decode at once: here it is done item by item, with breaks in which
 * the page can answer its user.
 */
export async function list<I extends DescMessage, Item extends DescMessage, T>(
  method: DescMethodUnary<I>,
  request: MessageInitShape<I>,
  item: Item,
  make: (message: MessageShape<Item>) => T,
  stop: AbortSignal,
): Promise<Listed<T>> {
  const response = await fetch(`/${method.parent.typeName}/${method.name}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/proto', 'Connect-Protocol-Version': '1', 'Connect-Timeout-Ms': String(callTimeout) },
    body: toBinary(method.input, create(method.input, request)) as Uint8Array<ArrayBuffer>,
    signal: AbortSignal.any([stop, AbortSignal.timeout(callTimeout)]),
  });
  if (!response.ok) throw await refusal(response);
  return decode(new BinaryReader(new Uint8Array(await response.arrayBuffer())), (bytes) => make(fromBinary(item, bytes)), stop);
}

async function decode<T>(reader: BinaryReader, make: (bytes: Uint8Array) => T, stop: AbortSignal): Promise<Listed<T>> {
  const out: Listed<T> = { items: [], total: 0 };
  let until = performance.now() + sliceMs;
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 1 && wire === WireType.LengthDelimited) out.items.push(make(reader.bytes()));
    else if (field === 2 && wire === WireType.Varint) out.total = Number(reader.uint64());
    else reader.skip(wire, field);
    if (performance.now() < until) continue;
    await pause();
    stop.throwIfAborted();
    until = performance.now() + sliceMs;
  }
  return out;
}

/** The error of a Connect answer that is not 200. */
async function refusal(response: Response): Promise<ConnectError> {
  const fallback = response.status === 401 ? Code.Unauthenticated : Code.Unavailable;
  try {
    const said = (await response.json()) as { code?: string; message?: string };
    const name = (said.code ?? '').split('_').map((w) => w.charAt(0).toUpperCase() + w.slice(1)).join('');
    return new ConnectError(String(said.message ?? ''), (Code as unknown as Record<string, Code>)[name] ?? fallback);
  } catch {
    return new ConnectError(`HTTP ${response.status}`, fallback);
  }
}
