// SPDX-License-Identifier: Apache-2.0

// Package event is the model of what skep saw: the kinds of records, the log
// that holds the recent past and hands it to any number of readers, and the one
// JSON encoding of them.
//
// Problem: sensors produce up to 100,000 records a second, readers come and
// go, one of them may be stopped, and nobody may lose a record without being
// told how many of which kind.
//
// Mechanism: one Log, a queue of chunks under a byte budget. A reader is a
// Cursor, which is no more than a position and the count per kind of the
// records before it. A chunk has the same counts for its own start. A cursor
// that was overtaken jumps to the oldest chunk, and the difference of the two
// counts is exactly what it lost.
//
// Invariants: a *skepv1.Record is immutable once appended; the writer never
// waits for a reader; received + lost = appended, for each cursor and kind.
package event
