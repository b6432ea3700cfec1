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
// Trade-offs: a path is all there is to see, so a process that may create
// cgroups inside its own container can call one like another container. The
// innermost one wins (it is right for Docker in Docker and kind) but Outer
// keeps the id that the host's runtime gave, which the inside cannot forge.
package container
