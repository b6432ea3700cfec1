// SPDX-License-Identifier: Apache-2.0

// Package reach connects to the agents of other hosts.
//
// Problem: an agent listens on a unix socket, and whom to trust on the way to
// another host is a question that its owner has answered already, in ssh's
// configuration, keys and known hosts.
//
// Mechanism: [Host.Dial] runs the system's ssh, which runs "skep stdio" on the
// other host as the user who logs in there. That program connects its standard
// input and output to the agent's socket ([Relay]), so that the agent sees this
// user's credentials as it sees those of a local one, and gives the same role.
// ssh gets one end of a socket pair; the other end is the [Conn]. Where an agent
// listens on TCP, both sides have certificates, and the Conn is the TLS connection.
//
// Invariants: nothing that names a host can become an option of ssh or a word
// for a shell; ssh never asks a question; a host gets a bounded time to answer,
// and proves with [preamble] that skep does; what ssh says is kept, bounded, as
// the reason of a failure. All that comes from a host is hostile.
package reach
