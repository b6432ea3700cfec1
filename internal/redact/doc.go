// SPDX-License-Identifier: Apache-2.0

// Package redact takes secrets out of command lines before anything keeps them.
//
// # Problem
//
// Passwords and tokens are given to programs as arguments: --password X, TOKEN=X,
// https://user:X@host, "Authorization: Bearer X", mysql -pX. An agent that records
// every exec would be the best place on the host to steal them from.
//
// # Mechanism
//
// A command line is looked at once, as the NUL-joined bytes that the kernel gives, where
// it is decoded: so the stream, the tables, the log and whatever is sent on all get the
// same clean copy. One automaton (trigger) over all words that any rule needs decides in
// about a nanosecond per byte that there is nothing to do, which is the usual case. Only
// then are the arguments taken apart and the rules asked; each adds spans, and the spans
// are replaced by Mark.
//
// # Invariants
//
//   - Arguments keep their number and order; outside of spans their bytes are untouched.
//   - A rule without a word in the trigger would never be asked: TestTriggerCoversRules.
//   - The time is linear in the length, whatever the arguments are.
//
// What names, options and forms are known is in tables (words.go, commands.go, shapes.go);
// docs/privacy.md shows an example of each, and a test runs them.
package redact
