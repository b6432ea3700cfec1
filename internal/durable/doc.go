// SPDX-License-Identifier: Apache-2.0

// Package durable writes the files that root writes for good, whole ones and ones that grow,
// and reads those that it must be sure of.
//
// Problem: an agent that is root writes where a power cut, a full disk or another user may
// be. Mechanism: a whole file gets its name when all of it is on the disk; a line that does
// not fit is taken back. Invariants: under its name a whole file is never seen in part; a
// growing file has no torn line, and nobody else's file is appended to or believed.
package durable
