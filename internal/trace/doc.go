// SPDX-License-Identifier: Apache-2.0

// Package trace runs scripts of the tracing language.
//
// # Problem
//
// A script is programs that write records and maps; whoever started it wants text and
// values. It may say more than anybody can read, its reader may be gone, and it must not
// cost the agent, or other scripts, anything but what it was given.
//
// # Mechanism
//
// [Start] compiles and loads, [Session.Run] attaches, and reads the script's own ring on a
// timer. A record names an action of the script, whose fields say what its bytes mean: they
// become values, with names for addresses, users and cgroups. What is said goes through a
// queue of bounded size to one goroutine that gives it to the listener.
//
//	programs ─ ring ─▶ decode ─▶ rate limit ─▶ queue ─▶ listener
//	         └ maps ─▶ aggregate ─┘
//
// # Invariants
//
//   - Nothing of a script is left in the kernel when Run has returned and Close was called.
//   - What does not come is counted: in the ring by probe, by the rate limit, in the queue.
//   - A listener that is slow, or gone, holds up nothing.
package trace
