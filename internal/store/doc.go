// SPDX-License-Identifier: Apache-2.0

// Package store keeps every record on disk and reads it back: the agent's disk log.
//
// # Problem
//
// Yesterday's records are wanted after a crash, a restart and a reboot, by this agent and
// by any other program; and keeping them must cost the agent next to nothing, least of
// all the reader of the kernel's rings.
//
// # Mechanism
//
// The store is one more reader of the event log. What it reads is appended to a
// write-ahead log: frames with a checksum, written at once, synchronised each second
// (frame.go, encode.go). A log that is full or old is a closed period; it is turned into
// Parquet files, one for each kind of record, sorted by time (schema.go, shred.go,
// segment.go, sums.go). The schema is derived from the descriptor of skep.v1.Record, so columns
// have the names of the JSON fields.
//
// A query reads segments and logs as one stream in the order of time (query.go). Columns
// that the filter speaks of are looked at first, and only rows that may match are put
// together (prune.go, segment_source.go).
//
// # Invariants
//
//   - A period is its log for as long as the log exists, and its segments afterwards: the
//     removal of the log is what commits the segments. So no crash makes duplicates.
//   - What could not be stored is counted by kind. A writer that the disk holds up is
//     overtaken by the event log, which counts too; nobody waits for it.
//   - Files are hostile: a damaged one costs its records, which are counted, and nothing
//     else.
package store
