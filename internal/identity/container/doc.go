// SPDX-License-Identifier: Apache-2.0

// Package container tells which container, pod or systemd unit a cgroup id
// belongs to, and what its runtime knows about it.
//
// Mechanism, in the order of cost:
//
//	ForCgroup(id) --> slot cache (one atomic load, no allocation)
//	   miss       --> cgroup.Index: id -> path
//	   path       --> Parse: path -> runtime, container id, pod UID, unit
//	   no pattern --> Known registrations, then the runc state directories
//	   container  --> Resolver: name, image, labels, pod; asynchronous, by socket
//
// The id is known as soon as the cgroup is: it needs no runtime. The metadata
// comes later; a [Container] is immutable and is replaced when it does.
//
// Trade-offs: a path is all there is to see, and whoever may create cgroups names them.
// The innermost container wins (it is right for Docker in Docker and kind), but what a
// user other than root has named is a claim, which does not count against what root has:
// see claim.go. Outer keeps the id that the host's runtime gave, which the inside cannot
// forge.
package container
