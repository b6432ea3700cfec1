// SPDX-License-Identifier: Apache-2.0

// Package cgroup answers two questions: in which cgroup hierarchy are the
// workloads of this host, and which path belongs to a cgroup id in it.
//
// Problem: a process is in one cgroup of every hierarchy. In a v1/v2 hybrid a
// container has ten cgroup ids, and the v2 one may be the root's for all of
// them. Kernel programs report one id, so both sides must agree on one
// hierarchy, chosen once at start by [Choose].
//
// Mechanism: a cgroup id is the inode number of the cgroup's directory (kernfs
// on 64-bit kernels). [Index] learns id and path from kernel events (Add and
// Remove), from a walk of the hierarchy (Scan), and, on a miss, from the kernel
// itself: a kernfs file handle is the id, so open_by_handle_at turns it into
// a directory without a walk.
//
// Invariants: kernfs never gives one id twice in a boot, so an entry is never
// wrong, only gone or renamed. Memory is bounded by [MaxLive], [MaxRemoved] and
// [MaxBytes]; what the bounds refuse is counted in [Stats].
package cgroup
