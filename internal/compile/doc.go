// SPDX-License-Identifier: Apache-2.0

// Package compile turns programs in a typed intermediate representation into BPF bytecode.
//
// Problem: what a user writes (tracing scripts, policies, packet filters) has to run in the
// kernel of a host that has neither a compiler nor headers, and a verifier that never heard
// of the user's language decides whether it may.
//
// Mechanism: a front end builds a [Program] with a [Builder]: functions in static single
// assignment form, of which every value is a 64-bit word or a pointer. [Program.Check]
// proves its shape. [Compile] simplifies it, gives values registers and stack, and emits
// instructions with the position in the user's text that each came from. [Evaluate] runs
// the same program directly, without any of that: the two must agree.
//
//	text ─ front end ─▶ Program ─ Check ─▶ simplify ─▶ allocate ─▶ emit ─▶ Code
//	                       └────────────▶ Evaluate
//
// Invariants: the representation knows nothing of any language, of cilium/ebpf's objects or
// of a kernel. A program that passes Check compiles; arithmetic is total and wraps, as in
// BPF (x/0 is 0, x%0 is x, shifts count modulo 64). Pointers are never made from words.
package compile
