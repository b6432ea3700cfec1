// SPDX-License-Identifier: Apache-2.0

// Package flow makes connections out of socket events.
//
// # Problem
//
// The kernel side tells of one socket at a time. A user wants to know who talks to
// whom: which process, in which container, is at each end, and one name for the
// connection that both ends share, here and on other hosts.
//
// # Mechanism
//
// [Table] keeps every open socket by the id that the kernel side gave it, and by
// its two ends. A connection of this host to itself is two sockets whose ends are
// each other's reverse: the second to appear finds the first and they are linked,
// whatever network namespaces they are in, if their addresses are not translated.
// The [CommunityID] names it for other hosts.
//
// # Invariants
//
//   - One writer, any number of readers.
//   - Bounded: sockets beyond the limit are not remembered, but their records are made.
//   - What was handed out is never changed; records share the messages in them.
package flow
