// SPDX-License-Identifier: Apache-2.0

// Package demo plays harmless look-alikes of what an operator fears, for skep demo to show.
//
// Problem: someone who tries skep wants to see what it says of a reverse shell or an OOM
// kill, and has none at hand.
//
// Mechanism: a [Stage] is a process in namespaces of its own (network, pid, mount, IPC, UTS)
// and in a cgroup that is named as Docker names a container's. The network has a loopback
// device and nothing else; attacker, pool and DNS server are goroutines of the stage, at
// addresses that are reserved for documentation (RFC 5737). Each scene's program is the
// skep binary under another name. skep demo compares what the agent tells with what each
// [Scene] must show.
//
// Invariants: no packet leaves the stage. Its end, however it comes, ends all that it
// started: it is pid 1 of its pid namespace and dies with its parent. Nothing is left but,
// after a kill -9 of skep itself, an empty directory and an empty cgroup.
package demo
