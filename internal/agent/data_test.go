// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"
	"testing"

	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/identity/container"
)

// TestDefaultSockets: without containers.sockets all places are asked that there are for.
func TestDefaultSockets(t *testing.T) {
	if got := runtimeSockets(config.Default().Containers.Sockets); !slices.Equal(got, container.DefaultSockets) {
		t.Errorf("got  %v\nwant %v", got, container.DefaultSockets)
	}
	if got := runtimeSockets([]string{}); got == nil || len(got) != 0 {
		t.Errorf("an empty list gives %v: nil means the defaults", got)
	}
}

func TestSocketKind(t *testing.T) {
	for path, want := range map[string]container.Kind{
		t.TempDir():                           container.KindStorage,
		"/run/user/1000/docker.sock":          container.KindDocker,
		"/run/user/1000/podman/podman.sock":   container.KindPodman,
		"/var/run/crio.sock":                  container.KindCRI,
		"/run/elsewhere/containerd.sock":      container.KindContainerd,
		"/var/lib/containers/storage":         container.KindStorage,
		"/run/k3s/containerd/containerd.sock": container.KindContainerd,
	} {
		if got := socketKind(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
