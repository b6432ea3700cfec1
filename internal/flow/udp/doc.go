// SPDX-License-Identifier: Apache-2.0

// Package udp makes records out of counted UDP flows.
//
// # Problem
//
// UDP has no connections, and a record for each datagram would cost more than the
// datagram. The kernel side counts, by socket and peer, and says nothing by itself but
// that a socket was closed.
//
// # Mechanism
//
// [Table.Pass] reads all that is counted: every five seconds, and within a second after a
// socket was closed. A flow ends with its socket, or when it has been idle for half a
// minute: then its entry is taken out of the kernel's map, and a record has its counts. A
// flow that goes on makes a record each minute, with its counts so far and no close_reason.
//
// # Invariants
//
//   - The sums over the records with a close_reason, and over what the table has still
//     open, are what the kernel side has counted: an entry leaves the map together with
//     its last counts. (A datagram that has found its entry at the very moment in which
//     that is taken out, half a minute after the one before it or after its socket was
//     closed, is not counted: nothing orders the two.)
//   - The table holds what the kernel's map held at the last pass, and no more.
package udp
