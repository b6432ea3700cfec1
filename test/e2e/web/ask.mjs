// SPDX-License-Identifier: Apache-2.0

// The Go test that starts a script does what its "do" lines ask for, and
// answers each with a line.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';

let answers;

export async function ask(what) {
  answers ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  console.log(`do ${what}`);
  const { value } = await answers.next();
  assert.equal(value, 'done', what);
}
