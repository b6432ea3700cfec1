// SPDX-License-Identifier: Apache-2.0

package container

import (
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	hexA = "3f4a8c1e5b7d9021a4c6e8f00123456789abcdef0123456789abcdef01234567"
	hexB = "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
	uid  = "7a1c0b52-3d4e-4f60-8a9b-0c1d2e3f4a5b"
	uid_ = "7a1c0b52_3d4e_4f60_8a9b_0c1d2e3f4a5b"
)

var layouts = []struct {
	name, path string
	want       ID // an empty ID.ID: no container
}{
	{"docker cgroupfs", "/docker/" + hexA, ID{Runtime: Docker, ID: hexA}},
	{"docker systemd", "/system.slice/docker-" + hexA + ".scope",
		ID{Runtime: Docker, ID: hexA, Unit: "docker-" + hexA + ".scope"}},
	{"docker rootless", "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + hexA + ".scope",
		ID{Runtime: Docker, ID: hexA, Unit: "docker-" + hexA + ".scope"}},
	{"docker --cgroup-parent", "/batch/jobs/" + hexA, ID{Runtime: Docker, ID: hexA}},
	{"docker, systemd inside", "/docker/" + hexA + "/init.scope", ID{Runtime: Docker, ID: hexA}},
	{"docker, unit inside", "/docker/" + hexA + "/system.slice/nginx.service", ID{Runtime: Docker, ID: hexA}},
	{"docker in docker", "/docker/" + hexA + "/docker/" + hexB, ID{Runtime: Docker, ID: hexB, Outer: hexA}},
	{"docker build", "/docker/buildkit/u4ka8bfkcvn1hx4gbz4x3rl3d", ID{Runtime: BuildKit, ID: "u4ka8bfkcvn1hx4gbz4x3rl3d"}},
	{"ecs on ec2", "/ecs/0123456789abcdef0123456789abcdef/" + hexA, ID{Runtime: Docker, ID: hexA}},
	{"ecs fargate", "/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-2531612879",
		ID{Runtime: Docker, ID: "0123456789abcdef0123456789abcdef-2531612879"}},

	{"cri-containerd systemd, burstable", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uid_ +
		".slice/cri-containerd-" + hexA + ".scope",
		ID{Runtime: CRI, ID: hexA, PodUID: uid, QoS: "burstable", Unit: "cri-containerd-" + hexA + ".scope"}},
	{"cri-containerd systemd, besteffort", "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uid_ +
		".slice/cri-containerd-" + hexA + ".scope",
		ID{Runtime: CRI, ID: hexA, PodUID: uid, QoS: "besteffort", Unit: "cri-containerd-" + hexA + ".scope"}},
	{"cri-containerd systemd, guaranteed", "/kubepods.slice/kubepods-pod" + uid_ + ".slice/cri-containerd-" + hexA + ".scope",
		ID{Runtime: CRI, ID: hexA, PodUID: uid, QoS: "guaranteed", Unit: "cri-containerd-" + hexA + ".scope"}},
	{"kubelet cgroupfs, burstable", "/kubepods/burstable/pod" + uid + "/" + hexA,
		ID{Runtime: CRI, ID: hexA, PodUID: uid, QoS: "burstable"}},
	{"kubelet cgroupfs, guaranteed", "/kubepods/pod" + uid + "/" + hexA,
		ID{Runtime: CRI, ID: hexA, PodUID: uid, QoS: "guaranteed"}},
	{"static pod", "/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" + hexA,
		ID{Runtime: CRI, ID: hexA, PodUID: "0123456789abcdef0123456789abcdef", QoS: "burstable"}},
	{"systemd path, cgroupfs driver", "/system.slice/containerd.service/kubepods-burstable-pod" + uid_ +
		".slice:cri-containerd:" + hexA,
		ID{Runtime: CRI, ID: hexA, PodUID: uid, QoS: "burstable", Unit: "containerd.service"}},
	{"kubelet on docker", "/kubepods.slice/kubepods-pod" + uid_ + ".slice/docker-" + hexA + ".scope",
		ID{Runtime: Docker, ID: hexA, PodUID: uid, QoS: "guaranteed", Unit: "docker-" + hexA + ".scope"}},
	{"pod without container", "/kubepods/besteffort/pod" + uid, ID{PodUID: uid, QoS: "besteffort"}},
	{"kind, cgroupfs", "/docker/" + hexA + "/kubelet/kubepods/besteffort/pod" + uid + "/" + hexB,
		ID{Runtime: CRI, ID: hexB, PodUID: uid, QoS: "besteffort", Outer: hexA}},
	{"kind, systemd", "/system.slice/docker-" + hexA + ".scope/kubelet.slice/kubelet-kubepods.slice/" +
		"kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" + uid_ + ".slice/cri-containerd-" + hexB + ".scope",
		ID{Runtime: CRI, ID: hexB, PodUID: uid, QoS: "burstable", Outer: hexA, Unit: "cri-containerd-" + hexB + ".scope"}},
	{"kind, the node itself", "/docker/" + hexA + "/system.slice/containerd.service", ID{Runtime: Docker, ID: hexA}},

	{"containerd, ctr", "/default/web", ID{Runtime: Containerd, ID: "web", Namespace: "default"}},
	{"containerd, nerdctl", "/default/" + hexA, ID{Runtime: Containerd, ID: hexA, Namespace: "default"}},
	{"nerdctl systemd", "/system.slice/nerdctl-" + hexA + ".scope",
		ID{Runtime: Containerd, ID: hexA, Unit: "nerdctl-" + hexA + ".scope"}},
	{"containerd k8s.io without pod cgroup", "/k8s.io/" + hexA, ID{Runtime: CRI, ID: hexA}},
	{"default inside docker is no container", "/docker/" + hexA + "/default/web", ID{Runtime: Docker, ID: hexA}},

	{"cri-o systemd", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uid_ + ".slice/crio-" + hexA + ".scope",
		ID{Runtime: CRIO, ID: hexA, PodUID: uid, QoS: "burstable", Unit: "crio-" + hexA + ".scope"}},
	{"cri-o systemd, crun", "/kubepods.slice/kubepods-pod" + uid_ + ".slice/crio-" + hexA + ".scope/container",
		ID{Runtime: CRIO, ID: hexA, PodUID: uid, QoS: "guaranteed", Unit: "crio-" + hexA + ".scope"}},
	{"cri-o cgroupfs", "/kubepods/burstable/pod" + uid + "/crio-" + hexA,
		ID{Runtime: CRIO, ID: hexA, PodUID: uid, QoS: "burstable"}},
	{"cri-o conmon", "/kubepods.slice/kubepods-pod" + uid_ + ".slice/crio-conmon-" + hexA + ".scope",
		ID{PodUID: uid, QoS: "guaranteed", Unit: "crio-conmon-" + hexA + ".scope"}},

	{"podman", "/machine.slice/libpod-" + hexA + ".scope", ID{Runtime: Podman, ID: hexA, Unit: "libpod-" + hexA + ".scope"}},
	{"podman, nested", "/machine.slice/libpod-" + hexA + ".scope/container",
		ID{Runtime: Podman, ID: hexA, Unit: "libpod-" + hexA + ".scope"}},
	{"podman rootless", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + hexA + ".scope/container",
		ID{Runtime: Podman, ID: hexA, Unit: "libpod-" + hexA + ".scope"}},
	{"podman pod", "/machine.slice/machine-libpod_pod_" + hexB + ".slice/libpod-" + hexA + ".scope",
		ID{Runtime: Podman, ID: hexA, Unit: "libpod-" + hexA + ".scope"}},
	{"podman cgroupfs", "/libpod_parent/libpod-" + hexA, ID{Runtime: Podman, ID: hexA}},
	{"podman split", "/system.slice/web.service/libpod-payload-" + hexA, ID{Runtime: Podman, ID: hexA, Unit: "web.service"}},
	{"podman conmon", "/machine.slice/libpod-conmon-" + hexA + ".scope", ID{Unit: "libpod-conmon-" + hexA + ".scope"}},
	{"podman in docker", "/docker/" + hexA + "/libpod_parent/libpod-" + hexB, ID{Runtime: Podman, ID: hexB, Outer: hexA}},
	{"conmon inside docker stays inside", "/docker/" + hexA + "/libpod-conmon-" + hexB + ".scope", ID{Runtime: Docker, ID: hexA}},

	{"nspawn service", "/machine.slice/systemd-nspawn@deb\\x2d12.service/payload/init.scope",
		ID{Runtime: Nspawn, ID: "deb-12", Unit: "systemd-nspawn@deb\\x2d12.service"}},
	{"nspawn supervisor", "/machine.slice/systemd-nspawn@deb.service/supervisor", ID{Unit: "systemd-nspawn@deb.service"}},
	{"nspawn by hand", "/machine.slice/machine-deb.scope/payload", ID{Runtime: Nspawn, ID: "deb", Unit: "machine-deb.scope"}},
	{"a virtual machine", "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope", ID{Unit: "machine-qemu\\x2d1\\x2dweb.scope"}},
	{"lxc 4", "/lxc.payload.web/system.slice/ssh.service", ID{Runtime: LXC, ID: "web"}},
	{"lxc 3", "/lxc/web", ID{Runtime: LXC, ID: "web"}},
	{"lxc monitor", "/lxc.monitor.web", ID{}},
	{"docker in lxc", "/lxc.payload.web/system.slice/docker-" + hexA + ".scope",
		ID{Runtime: Docker, ID: hexA, Outer: "web", Unit: "docker-" + hexA + ".scope"}},
	{"runc systemd", "/system.slice/runc-web.scope", ID{Runtime: Runc, ID: "web", Unit: "runc-web.scope"}},
	{"kata", "/kubepods/pod" + uid + "/kata_" + hexA, ID{Runtime: Kata, ID: hexA, PodUID: uid, QoS: "guaranteed"}},

	{"service", "/system.slice/nginx.service", ID{Unit: "nginx.service"}},
	{"instance", "/system.slice/system-getty.slice/getty@tty1.service", ID{Unit: "getty@tty1.service"}},
	{"session", "/user.slice/user-1000.slice/session-3.scope", ID{Unit: "session-3.scope"}},
	{"user service", "/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", ID{Unit: "foo.service"}},
	{"user slice", "/user.slice/user-1000.slice", ID{Unit: "user-1000.slice"}},
	{"docker's own service", "/system.slice/docker.service", ID{Unit: "docker.service"}},

	{"root", "/", ID{}},
	{"runc cgroupfs", "/web", ID{}},
	{"32 hex is no container", "/process_api/4db487624b23d363633deedae2652389", ID{}},
	{"63 hex is no container", "/docker/" + hexA[1:], ID{}},
	{"upper case is no id", "/docker/" + strings.ToUpper(hexA), ID{}},
	{"forged hash inside", "/docker/" + hexA + "/x/" + hexB, ID{Runtime: Docker, ID: hexA}},
	{"forged pod inside", "/docker/" + hexA + "/kubepods/pod" + uid, ID{Runtime: Docker, ID: hexA}},
	{"escape sequence is no unit", "/system.slice/\x1b[31m.service", ID{Unit: "system.slice"}},
	{"escape sequence is no name", "/default/\x1b[31m", ID{}},
}

func TestParse(t *testing.T) {
	for _, l := range layouts {
		got, ok := Parse(l.path)
		if got != l.want || ok != (l.want.ID != "") {
			t.Errorf("%s: Parse(%q)\n got %+v, %v\nwant %+v", l.name, l.path, got, ok, l.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, l := range layouts {
		f.Add(l.path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		id, ok := Parse(path)
		if ok != (id.ID != "") || ok != (id.Runtime != "") {
			t.Fatalf("%q: %+v, %v", path, id, ok)
		}
		for _, s := range []string{id.ID, id.Unit, id.PodUID, id.Outer} {
			if len(s) > maxName || !utf8.ValidString(s) || strings.ContainsAny(s, "/\x00\x1b\n<> ") {
				t.Fatalf("%q: took %q", path, s)
			}
		}
		// What is recognised is really in the path (but for escapes).
		if ok && !strings.Contains(unescape(path), id.ID) {
			t.Fatalf("%q: invented %q", path, id.ID)
		}
		// A sub-cgroup without a meaning belongs to the same container.
		if below, _ := Parse(path + "/sub_cgroup"); ok && below.ID != id.ID {
			t.Fatalf("%q: its sub-cgroup is %q", path, below.ID)
		}
	})
}
