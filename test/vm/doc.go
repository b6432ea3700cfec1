// SPDX-License-Identifier: Apache-2.0

// Package vm runs static programs on Debian's kernels inside QEMU.
//
// # Problem
//
// The development machine has one kernel, and that one refuses whatever patches kernel text (LSM, fentry, struct_ops).
// The upper rungs of every hook ladder, and the old kernels, have to be tested somewhere else.
//
// # Mechanism
//
//	Fetch   apt-get download (nothing is installed)  -> cache: vmlinuz, modules in load order
//	Run     initramfs: busybox, modules, given files -> qemu (TCG) -> serial ports -> Result
//
// The first serial port carries the kernel's messages, the second what the commands print and the markers around it,
// so that a kernel message never lands inside a test's output.
//
// # Invariants
//
//   - Emulation is always TCG, also where /dev/kvm exists: the same run gives the same result everywhere.
//   - A command has a result only if the guest printed its end marker; a guest that powers off without the final marker
//     is an error that quotes the end of the console.
//   - Nothing outlives Run: QEMU dies with its parent, the initramfs is removed.
package vm
