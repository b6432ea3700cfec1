// SPDX-License-Identifier: Apache-2.0

// Package dns makes transactions out of DNS packets: a question, who asked it, and its
// answer.
//
// # Problem
//
// The kernel side tells of single packets, which strangers have written. A user wants
// to know which process asked which server for what, what came back, and how long it
// took; and to see names instead of addresses.
//
// # Mechanism
//
// [Table] keeps each query by its socket, server and message id until its answer comes
// or five seconds have passed, and makes one record of the two. TCP's segments are put
// together again before. [Names] remembers, for as long as an answer says, which name an
// address stood for.
//
// # Invariants
//
//   - One goroutine; no clock but the boot time in the packets.
//   - Whatever a packet says, it costs a bounded time and memory. What cannot be decoded
//     is counted.
//   - Each query that was decoded makes a record of its own, whatever becomes of it.
package dns
