// SPDX-License-Identifier: Apache-2.0

import { count } from './format';

// Why something is missing, by the place where it was lost: docs/records.md in short.
const meanings = {
  ring_full: 'a ring had no room: the agent was too slow, or was not running',
  table_full: 'a kernel table had no room: records lack their owner',
  untracked: 'a kernel table had no room for their sockets or operations',
  subscriber: 'a subscriber read too slowly; others have them',
  ship: 'this output could not deliver them; others have them',
  restart: 'they were in the ring of an agent of another version',
  malformed: 'they could not be decoded',
  undecoded: 'messages on a watched port that are not what they should be',
  store: 'they are not in the disk log; the stream had them',
  connections_full: 'sockets without room in the agent’s table: they have their records, and no place among Connections',
  cgroups_full: 'cgroups that could not be remembered: records come, at worst without their container',
  containers_full: 'containers that could not be remembered: records come, at worst without them',
  resolver_full: 'names of containers that come later: too many were asked for at once',
  program_missed: 'the kernel did not run this program: what it would have seen, if anything, is not known',
};
const texts = new Map(Object.entries(meanings));

/** What the losses are in a sentence: not each place counts records, and some records are only late or bare. */
export function headline(records: bigint): string {
  return records > 0n ? `${count(records)} events lost` : 'Something may be missing';
}

/** What a loss at a place means; empty for a place that is not known. */
export function meaning(place: string): string {
  return texts.get(place.replace(/^ship:.*/s, 'ship')) ?? '';
}
