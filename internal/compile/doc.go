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
// instructions with the position in the user's text that each came from. Package evaluate
// runs the same program directly, without any of that: the two must agree, in package vm
// and in the kernel, for what package generate makes up.
//
//	text ─ front end ─▶ Program ─ Check ─▶ simplify ─▶ select ─▶ allocate ─▶ emit ─▶ Code
//	                       └────────────▶ evaluate
//
// Each pass is a file, with where it comes from and what it keeps to:
//
//	division      signed division, for kernels without
//	phis          trivial phis
//	number        value numbering over the dominator tree, with algebra and stable
//	lookups       lookups of one key in one map, while nothing changes that
//	dead          what nothing needs
//	branches      decided branches, jump threading (thread), joining of blocks
//	sinkslots     slots are made where they are first used
//	deadstores    stores to slots that nothing reads
//	sink          wide constants and map addresses, made in each block that uses them
//	frame         places of slots; those that are never alive together share one
//	layout        critical edges, order of blocks
//	lower         instruction selection, backwards, with select and condition
//	live          liveness of virtual registers
//	interval      where each lives, and where it must be in a register
//	scan          linear scan with splitting
//	place, moves  words of the frame, moves at splits and on edges
//	emit, encode  instructions of blocks
//	link          jumps between blocks
//
// Invariants: the representation knows nothing of any language, of cilium/ebpf's objects or
// of a kernel. A program that passes Check compiles, unless it is too large; arithmetic is
// total and wraps, as in BPF (x/0 is 0, x%0 is x, shifts count modulo 64). Pointers are
// never made from words.
//
// What the verifier proves for a program, it has to prove for the code. So no pass computes
// with pointers in another way than the program does; a mask or a comparison that tells the
// verifier a bound stays, even where the compiler knows better (see width64); a value that
// was compared is in one place only, the one that was compared (see places); and a pointer
// that may be 0 shares its register with the one that is not.
package compile
