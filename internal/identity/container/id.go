// SPDX-License-Identifier: Apache-2.0

package container

// Runtime is the program that made a container.
type Runtime string

// The runtimes that a path can tell.
const (
	Docker     Runtime = "docker"
	Containerd Runtime = "containerd"
	CRI        Runtime = "cri" // kubelet's, the path does not say which
	CRIO       Runtime = "cri-o"
	Podman     Runtime = "podman"
	Nspawn     Runtime = "systemd-nspawn"
	LXC        Runtime = "lxc"
	Runc       Runtime = "runc"
	Crun       Runtime = "crun"
	Kata       Runtime = "kata"
	BuildKit   Runtime = "buildkit"
	Garden     Runtime = "garden"
	OCI        Runtime = "oci" // a scope with a container id and an unknown prefix
)

// ID is what a cgroup path says about who lives there. It is comparable.
type ID struct {
	Runtime   Runtime
	ID        string // 64 hex digits, or the runtime's own name for it
	Namespace string // containerd's own namespace, where the path or state directory tells it
	PodUID    string // with dashes; 32 hex digits for a static pod
	QoS       string // "guaranteed", "burstable" or "besteffort" in a pod
	Unit      string // systemd unit: service or scope rather than slice
	Outer     string // id of the outermost container, if this one is nested
	Owner     uint32 // the user whose claim this is, 0 if root has named the cgroup
}

// Container is one container, or a systemd unit if ID is empty. Immutable.
type Container struct {
	ID        string
	Runtime   Runtime
	Name      string
	Image     string
	PodUID    string
	PodName   string
	Namespace string // of the pod
	Labels    map[string]string
	PodLabels map[string]string
	Unit      string
	QoS       string
	Outer     string
	Resolved  bool // the runtime's metadata is in
}

func newContainer(id ID, meta Meta) *Container {
	c := &Container{
		ID: id.ID, Runtime: id.Runtime, PodUID: id.PodUID, Unit: id.Unit, QoS: id.QoS, Outer: id.Outer,
		Name: meta.Name, Image: meta.Image, PodName: meta.PodName, Namespace: meta.Namespace,
		Labels: meta.Labels, PodLabels: meta.PodLabels,
	}
	if c.PodUID == "" {
		c.PodUID = meta.PodUID
	}
	if c.Name == "" && !isHex64(id.ID) {
		c.Name = id.ID // runc, LXC, nspawn: the id is the name
	}
	if meta.Runtime != "" {
		c.Runtime = meta.Runtime
	}
	return c
}
