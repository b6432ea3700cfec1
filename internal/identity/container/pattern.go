// SPDX-License-Identifier: Apache-2.0

package container

import "strings"

// prefixes name the runtime in <prefix>-<64 hex>[.scope].
var prefixes = map[string]Runtime{
	"docker":         Docker,
	"cri-containerd": CRI,
	"crio":           CRIO,
	"libpod":         Podman,
	"libpod-payload": Podman, // crun, podman --cgroups=split
	"nerdctl":        Containerd,
	"kata":           Kata,
}

// parents name the runtime in <parent>/<64 hex>.
var parents = map[string]Runtime{
	"docker":   Docker,
	"moby":     Docker,
	"k8s.io":   CRI,
	"default":  Containerd,
	"libpod":   Podman,
	"buildkit": BuildKit,
}

// named are the top-level cgroups whose children are containers with any name.
var named = map[string]Runtime{
	"default":  Containerd,
	"lxc":      LXC,
	"buildkit": BuildKit,
	"garden":   Garden,
}

// strong recognises a container by the shape of its own segment, wherever it is.
func strong(parent, s string, nested bool) (ID, bool) {
	if parts := strings.Split(s, ":"); len(parts) == 3 && isHex64(parts[2]) {
		return prefixed(parts[1], parts[2])
	}
	if isHex64(s) {
		return bare(parent, s, nested)
	}
	scope, isScope := strings.CutSuffix(s, ".scope")
	if name, ok := strings.CutPrefix(s, "kata_"); ok && isHex64(name) {
		return ID{Runtime: Kata, ID: name}, true
	}
	if i := len(scope) - 65; i > 0 && scope[i] == '-' && isHex64(scope[i+1:]) {
		return prefixed(scope[:i], scope[i+1:])
	}
	if isScope {
		return namedScope(parent, scope)
	}
	return payload(parent, s)
}

func prefixed(prefix, hex string) (ID, bool) {
	runtime, ok := prefixes[prefix]
	if !ok {
		runtime = OCI
	}
	return ID{Runtime: runtime, ID: hex}, true
}

// bare is a segment of 64 hex digits. Inside another container it counts only
// where a runtime would have put it.
func bare(parent, hex string, nested bool) (ID, bool) {
	if runtime, ok := parents[parent]; ok {
		id := ID{Runtime: runtime, ID: hex}
		if runtime == Containerd {
			id.Namespace = parent
		}
		return id, true
	}
	uid, isPod := strings.CutPrefix(parent, "pod")
	if isPod && isPodUID(uid) || strings.Contains(parent, "kubepods") {
		return ID{Runtime: CRI, ID: hex}, true
	}
	if nested {
		return ID{}, false
	}
	return ID{Runtime: Docker, ID: hex}, true // docker run --cgroup-parent, ECS
}

// namedScope is a scope whose container has a name instead of a hash.
func namedScope(parent, scope string) (ID, bool) {
	if name, ok := strings.CutPrefix(scope, "machine-"); ok && parent == "machine.slice" {
		name = unescape(name)
		return ID{Runtime: Nspawn, ID: name}, isName(name) && !strings.HasPrefix(name, "qemu-")
	}
	for _, r := range []Runtime{Runc, Crun} {
		if name, ok := strings.CutPrefix(scope, string(r)+"-"); ok && isName(name) {
			return ID{Runtime: r, ID: name}, true
		}
	}
	return ID{}, false
}

// payload is the container's half of runtimes that keep a monitor beside it.
func payload(parent, s string) (ID, bool) {
	if name, ok := strings.CutPrefix(s, "lxc.payload."); ok {
		return ID{Runtime: LXC, ID: name}, isName(name)
	}
	if parent == "lxc.payload" {
		return ID{Runtime: LXC, ID: s}, isName(s)
	}
	name, ok := strings.CutPrefix(s, "systemd-nspawn@")
	name, isService := strings.CutSuffix(name, ".service")
	name = unescape(name)
	return ID{Runtime: Nspawn, ID: name}, ok && isService && isName(name)
}

// weak recognises a container by its parent only, so only at the top of the tree.
func weak(before []string, s string) (ID, bool) {
	if len(before) == 2 && before[0] == "ecs" && isFargate(s) {
		return ID{Runtime: Docker, ID: s}, true
	}
	if len(before) == 2 && before[0] == "docker" && before[1] == "buildkit" && isName(s) {
		return ID{Runtime: BuildKit, ID: s}, true
	}
	if len(before) != 1 || !isName(s) {
		return ID{}, false
	}
	runtime, ok := named[before[0]]
	id := ID{Runtime: runtime, ID: s}
	if runtime == Containerd {
		id.Namespace = before[0]
	}
	return id, ok
}
