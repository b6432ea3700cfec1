// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Kind is the protocol that a runtime's socket speaks.
type Kind string

// Kinds of sockets.
const (
	KindContainerd Kind = "containerd" // containerd's own API, and CRI beside it
	KindCRI        Kind = "cri"        // CRI only: CRI-O and others
	KindDocker     Kind = "docker"     // Docker Engine HTTP API
	KindPodman     Kind = "podman"     // the same, as podman serves it
	KindStorage    Kind = "storage"    // no socket: the directory of containers/storage
)

// Socket is where a runtime is asked.
type Socket struct {
	Kind Kind
	Path string
}

// DefaultSockets are the places where distributions put them. An absent one costs a stat.
var DefaultSockets = []Socket{
	{KindContainerd, "/run/containerd/containerd.sock"},
	{KindContainerd, "/run/k3s/containerd/containerd.sock"},
	{KindContainerd, "/run/k0s/containerd.sock"},
	{KindContainerd, "/var/snap/microk8s/common/run/containerd.sock"},
	{KindCRI, "/run/crio/crio.sock"},
	{KindDocker, "/run/docker.sock"},
	{KindPodman, "/run/podman/podman.sock"},
	{KindStorage, "/var/lib/containers/storage"},
}

// errNotFound: the runtime answered, and does not know the container (yet).
var errNotFound = errors.New("no such container")

// source answers for one socket and protocol.
type source struct {
	socket string
	suits  func(ID) bool // asked first; the others only about ids that no name can equal
	lookup func(context.Context, ID) (Meta, error)
}

// there tells whether the socket (or directory) exists, so that a stopped runtime costs no
// dial. Only its owner's containers are asked about: a user's runtime has no say on root's.
func (s source) there(claimant uint32) bool {
	info, err := os.Stat(s.socket)
	if err != nil || info.Mode().Type() != fs.ModeSocket && !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == claimant
}

func newSources(sockets []Socket, namespaces []string) []source {
	var sources []source
	for _, s := range sockets {
		switch s.Kind {
		case KindContainerd:
			r := newRPC(s.Path)
			sources = append(sources, criSource(s.Path, r, Containerd), containerdSource(s.Path, r, namespaces))
		case KindCRI:
			sources = append(sources, criSource(s.Path, newRPC(s.Path), CRIO))
		case KindDocker:
			sources = append(sources, engineSource(s.Path, Docker))
		case KindPodman:
			sources = append(sources, engineSource(s.Path, Podman))
		case KindStorage:
			sources = append(sources, storageSource(s.Path))
		}
	}
	return sources
}

func is(runtimes ...Runtime) func(ID) bool {
	return func(id ID) bool {
		for _, r := range runtimes {
			if id.Runtime == r {
				return true
			}
		}
		return false
	}
}
