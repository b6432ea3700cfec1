// SPDX-License-Identifier: Apache-2.0

package container

import "strings"

// Parse reads a cgroup path, relative to its hierarchy's root. ok tells whether
// the path is in a container; pod, QoS and unit are filled without one too. Of
// nested containers the innermost wins; sub-cgroups that a container made
// itself belong to it. Layouts:
//
//	/docker/<id>  /system.slice/docker-<id>.scope           Docker: cgroupfs, systemd
//	/kubepods/burstable/pod<uid>/<id>                       kubelet, cgroupfs
//	/kubepods.slice/…-pod<uid>.slice/cri-containerd-<id>.scope   kubelet, systemd
//	/…/<slice>:cri-containerd:<id>                          systemd path, cgroupfs driver
//	/default/<name>                                         containerd (ctr, nerdctl)
//	/machine.slice/libpod-<id>.scope[/container]            podman
//	/lxc.payload.<name>  /machine.slice/machine-<name>.scope     LXC, systemd-nspawn
func Parse(path string) (id ID, ok bool) {
	w := walker{}
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range segments {
		w.step(segments[:i], s)
	}
	return w.result()
}

// walker folds the segments of a path, outermost first.
type walker struct {
	found  ID     // the innermost container so far
	outer  string // the id of the outermost one
	pod    ID     // PodUID and QoS of the last pod
	unit   string // the last unit
	parent string // the segment before
	closed bool   // below a monitor: no container is in there
}

func (w *walker) step(before []string, s string) {
	w.seeUnit(s)
	w.seePod(before, s)
	if w.seeMonitor(s) {
		w.closed = true
	}
	id, ok := strong(w.parent, s, w.found.ID != "")
	if !ok && w.found.ID == "" {
		id, ok = weak(before, s)
	}
	w.parent = s
	if !ok || w.closed {
		return
	}
	if w.outer == "" {
		w.outer = id.ID
	}
	id.Unit, id.PodUID, id.QoS = w.unit, w.pod.PodUID, w.pod.QoS
	w.found = id
}

func (w *walker) result() (ID, bool) {
	if w.found.ID == "" {
		return ID{PodUID: w.pod.PodUID, QoS: w.pod.QoS, Unit: w.unit}, false
	}
	if w.outer != w.found.ID {
		w.found.Outer = w.outer
	}
	return w.found, true
}

// seeMonitor recognises the cgroups of processes that look after a container.
func (w *walker) seeMonitor(s string) bool {
	if s == "supervisor" && strings.HasPrefix(w.parent, "systemd-nspawn@") && w.outer == w.found.ID {
		w.found = ID{}
		return true
	}
	for _, prefix := range []string{"crio-conmon-", "libpod-conmon-", "lxc.monitor", "kata_overhead"} {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}

// seeUnit keeps the innermost service or scope, a slice only without one.
func (w *walker) seeUnit(s string) {
	if !isUnit(s) {
		return
	}
	if kind := s[strings.LastIndexByte(s, '.'):]; kind != ".slice" || w.unit == "" || strings.HasSuffix(w.unit, ".slice") {
		w.unit = s
	}
}

// seePod recognises pod<uid> below kubepods, and kubepods[-qos]-pod<uid>.slice.
func (w *walker) seePod(before []string, s string) {
	s, _, _ = strings.Cut(s, ":")
	s, isSlice := strings.CutSuffix(s, ".slice")
	if !isSlice {
		if uid, ok := strings.CutPrefix(s, "pod"); ok && isPodUID(uid) && below(before, "kubepods") {
			w.pod = ID{PodUID: uid, QoS: qos(before[len(before)-1])}
		}
		return
	}
	i := strings.LastIndex(s, "-pod")
	if i < 0 || !strings.Contains(s[:i], "kubepods") {
		return
	}
	if uid := strings.ReplaceAll(s[i+len("-pod"):], "_", "-"); isPodUID(uid) {
		w.pod = ID{PodUID: uid, QoS: qos(s[:i])}
	}
}

func below(before []string, name string) bool {
	n := len(before)
	return n > 0 && before[n-1] == name || n > 1 && before[n-2] == name
}

func qos(parent string) string {
	switch {
	case strings.HasSuffix(parent, "burstable"):
		return "burstable"
	case strings.HasSuffix(parent, "besteffort"):
		return "besteffort"
	}
	return "guaranteed"
}
