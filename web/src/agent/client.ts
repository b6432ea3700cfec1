// SPDX-License-Identifier: Apache-2.0

import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { AgentService } from '../api/skep/v1/agent_pb';

// The session cookie travels with same-origin requests by itself.
export const agent = createClient(
  AgentService,
  createConnectTransport({ baseUrl: location.origin, useBinaryFormat: true }),
);

/** How long a call that is no stream may take. */
export const callTimeout = 8000;

/** How long a search through the disk log may take. */
export const searchTimeout = 60_000;

export function failure(e: unknown): { code: Code; message: string } {
  const error = ConnectError.from(e, Code.Unavailable);
  // A server that is gone is a network error to fetch, which Connect cannot name.
  if (error.code === Code.Unknown || e instanceof TypeError) return { code: Code.Unavailable, message: 'The server of this page (skep serve) does not answer.' };
  return { code: error.code, message: error.rawMessage };
}

export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      done();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}

/** Lets the browser do what waits: input, frames. */
export function pause(): Promise<void> {
  const scheduler = (globalThis as { scheduler?: { yield?: () => Promise<void> } }).scheduler;
  return scheduler?.yield?.() ?? new Promise((done) => setTimeout(done));
}
