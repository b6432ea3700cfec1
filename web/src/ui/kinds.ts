// SPDX-License-Identifier: Apache-2.0

/** The kinds of records in the order they are shown and stacked. */
export const kinds = ['fork', 'exec', 'exit', 'connect', 'accept', 'close', 'listen', 'dns', 'file', 'host', 'oom', 'loss', 'agent'];

export function colour(kind: string): string {
  return kinds.includes(kind) ? `var(--k-${kind})` : 'var(--muted)';
}
