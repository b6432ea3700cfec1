// SPDX-License-Identifier: Apache-2.0

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FilterSchema } from '../api/skep/v1/agent_pb';

export type FilterInit = MessageInitShape<typeof FilterSchema>;

/** A field of the filter as a link and a form have it. */
export interface FilterField {
  name: string;
  hint: string;
  wide?: boolean;
}

/** Those of `skep observe`, under the same names. */
export const filterFields: FilterField[] = [
  { name: 'pid', hint: '1234' },
  { name: 'comm', hint: 'nginx' },
  { name: 'exe', hint: '/usr/bin/, curl', wide: true },
  { name: 'container', hint: 'name or id' },
  { name: 'addr', hint: '10.0.0.0/8' },
  { name: 'port', hint: '443' },
  { name: 'path', hint: '/etc/ssh', wide: true },
  { name: 'where', hint: 'process.uid == 0', wide: true },
];

/** The filter of a link. What is no number where one is needed is told, not left out. */
export function filterOf(get: (name: string) => string): { filter: FilterInit; problem: string } {
  let problem = '';
  const list = (name: string) => get(name).split(',').map((v) => v.trim()).filter(Boolean);
  const one = (name: string) => (get(name).trim() ? [get(name).trim()] : []);
  const numbers = (name: string, most: number) =>
    list(name).map((v) => {
      if (!/^\d+$/.test(v) || Number(v) > most) problem ||= `${name}: “${v}” is no number from 0 to ${most}`;
      return Number(v);
    });
  const filter = {
    kinds: list('kinds'), pids: numbers('pid', 2 ** 32 - 1), comms: one('comm'), exes: one('exe'), containers: list('container'),
    addrs: list('addr'), ports: numbers('port', 65535), paths: one('path'), where: get('where').trim(),
  };
  return problem ? { filter: {}, problem } : { filter, problem };
}

/** Whether anything but kinds is filtered. */
export function filtered(get: (name: string) => string): boolean {
  return filterFields.some((f) => get(f.name));
}
