// SPDX-License-Identifier: Apache-2.0

// Command bt runs bpftrace's own runtime tests as a black box, with bpftrace and with skep
// under the same rules in the same run, and prints who passes what.
//
//	go run ./test/bt -suite DIR [-against PATH] [-skep PATH] [-only REGEXP] [-results FILE]
//
// DIR is a checkout of bpftrace (tag v0.23.2), which is read and never written: its test
// programs are built into a temporary folder or, with -build, into one that -programs takes on a
// machine without compilers: so test/vm does for a guest that has kprobes. Cases are text in the format of the checkout's
// tests/README.md. It needs root, and runs one case after another: they watch the whole
// host.
//
// Problem: a score that its own runner flatters is worth nothing. Mechanism: each case is
// run first with the reference, then with skep, with the same environment, limits and
// checks; what differs is the program alone. skep is called as bpftrace would be, through a
// link of that name, as its users may do. Some cases look for a process of that name (comm
// in BEGIN, which skep runs in its agent): the command of -agent can run skepd by such a link
// too. Invariants: a case that the suite says to skip is skipped for
// both, with the reason; nothing that a case started outlives it.
package main
