// SPDX-License-Identifier: Apache-2.0

// Package vm runs BPF programs without a kernel.
//
// Problem: a compiler, a policy or a filter has to be tested where there is neither root
// nor the kernel that it is meant for, and a kernel that runs a wrong program says nothing.
//
// Mechanism: [Machine.Load] resolves the references of instructions once; [Machine.Run]
// interprets them. All memory is in regions (the frame of a call, the context, a packet, a
// value of a map, a record of a ring). A [Value] is a number and, of a pointer, the region
// that it may reach: arithmetic keeps the region, every access is checked against it, and
// what was never written cannot be read.
//
//	Instructions ─ Load ─▶ Program ─ Run ─▶ r0, or a *Fault: which instruction, and why
//	                          │
//	        maps ◀─ helpers ◀─┴─▶ regions
//
// Invariants: a run is a function of the program, its context, the maps and [Host]: two
// runs from the same state are the same. No program makes the machine panic or run for
// more than its budget of instructions. The machine is little-endian. It is no verifier:
// what this run does not do is not judged.
//
// The instruction set is that of RFC 9669 and of the kernel's
// Documentation/bpf/standardization; helpers answer as include/uapi/linux/bpf.h says.
package vm
