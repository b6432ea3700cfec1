// SPDX-License-Identifier: Apache-2.0

// Package render shows what a tracing script tells, as bpftrace 0.23 does: as text and as
// one JSON object a line.
//
// It imports nothing of skep's, so that a client shows what an agent has read: the values
// come with what is needed to show them, and no kernel is looked at. The tables of its tests
// are what Debian's bpftrace 0.23.2 printed.
package render
