// SPDX-License-Identifier: Apache-2.0

// Package ship sends records on: to a file, to syslog, to an OTLP collector.
//
// # Problem
//
// A receiver may be slow, away for hours, or refuse some records. None of it may slow the
// agent, take memory without bound, or lose a record that nobody counts.
//
// # Mechanism
//
// An Output is one more reader of the event log: a cursor, and one batch in hand. The log
// is its queue. While the receiver is away the batch is tried again, ever less often, and
// the log goes on; when the output is overtaken, the cursor says what it has missed. That,
// and what a receiver refuses for good, is counted by kind, and told: in the output's own
// records (a loss where the gap is), in the agent's stream, in the status and the metrics.
//
// # Invariants
//
//   - delivered + lost = matching records and the losses told among them, where what the
//     log has overwritten counts as matching (the filter cannot be asked any more).
//   - A record may be delivered twice after a failure whose effect is not known; node, boot,
//     kind and seq tell. It is never skipped.
//   - Changing an output's settings keeps its place in the log and the batch in hand.
package ship
