// SPDX-License-Identifier: Apache-2.0

// Package bt is the tracing language: scripts as bpftrace runs them become programs of
// internal/compile, and a description of what to attach and what their records mean.
//
// Problem: the language leaves types to be found, and what a word means depends on the
// probe and on the kernel. What a script asks for has to fit into programs with 512 bytes
// of stack that a verifier believes, and that lose nothing without saying so.
//
// Mechanism: [Compile] finds the places of each attach point, and makes a unit of each
// probe: one program for all its places, or one for each where args, a USDT argument or a
// comparison with the name of the probe makes them differ. The checker goes over all units
// until no round learns a type that flows through a map or a variable, and then once more to
// report. Lowering builds each unit with a compile.Builder. Functions and builtins are tables
// of name, signature, check and lowering.
//
//	syntax.Program ─ expand ─▶ units ─ check ⟲ ─▶ types ─ lower ─▶ Script
//	                    ▲                 ▲                           Probes, Maps, Actions
//	                  Host: probes, fields, types, symbols, helpers
//
// Words live in registers. What is larger lives in the frame for one statement, or in memory
// of this processor (the map "scratch"), as do variables that are texts or tuples and what
// a loop's body, a function of its own to the kernel, shares with what is around it: what is
// there the verifier does not follow from turn to turn.
//
// Invariants: it looks at no kernel; what it must know of the host it asks a [Host]. Every
// script is refused with reasons, or its programs pass Check. Time and size are bounded:
// loops are unrolled to a limit, rounds of checking, depths and the operations of all programs
// are counted.
package bt
