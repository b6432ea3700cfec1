// SPDX-License-Identifier: Apache-2.0

// Package kern turns what capabilities declare as data into live kernel objects.
// It is the only package that loads, attaches, pins or reads BPF.
//
// # Problem
//
// A signal can be had in several ways, and which of them work is known only by
// trying; what was attached must come off again in reverse if a later step
// fails; and the kernel side has to outlive the agent, so that kill -9 loses
// nothing and the next agent goes on where the last one stopped.
//
// # Mechanism
//
// A [Sensor] names programs of one compiled object and arranges them in ladders.
// [Kernel.Attach] climbs each ladder from the best rung down: load, attach, pin;
// the first failure undoes the rung and its error becomes the reason that
// `skep doctor` shows. [Kernel.Prepare] loads ahead, on all CPUs: the verifier takes most
// of a start. Maps are shared by name between all sensors. Pins lie in
// one directory per ABI (the hash of everything that makes two kernel sides
// differ), so an agent adopts what it finds under its own hash as it is, and
// counts and removes what lies under any other.
//
// # Invariants
//
//   - A private kernel side (no pin directory) vanishes with its process.
//   - Nothing that skep did not create is touched.
//   - One agent per host, decided by the links that the kernel lists.
package kern
