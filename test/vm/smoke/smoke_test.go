// SPDX-License-Identifier: Apache-2.0

// Package smoke checks, inside a guest of the kernel matrix, that the kernel is the one meant and that each kind of
// program works there, or is refused there, as the ladders of skep assume.
package smoke

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// kernels is the order of the matrix's kernels; the variants of one kernel follow each other.
var kernels = []string{"5.10", "6.1", "6.1-lockdown", "6.12", "6.12-nobpf", "6.12-lockdown", "7.2"}

// kernelName is the matrix's name of the running kernel; the test is skipped outside the matrix.
func kernelName(t *testing.T) string {
	t.Helper()
	name := os.Getenv("SKEP_KERNEL")
	if name == "" {
		t.Skip("needs a guest of the kernel matrix: run SKEP_VM=1 go test ./test/vm/")
	}
	if !slices.Contains(kernels, name) {
		t.Fatalf("kernel %q is not in %v: say here what it can do", name, kernels)
	}
	return name
}

// since tells whether the running kernel is first or one after it.
func since(t *testing.T, first string) bool {
	t.Helper()
	return slices.Index(kernels, kernelName(t)) >= slices.Index(kernels, first)
}

// bpfInLSM tells whether the kernel was booted with bpf in lsm=.
func bpfInLSM(t *testing.T) bool { return kernelName(t) != "6.12-nobpf" }

// confidential tells whether the kernel was booted with lockdown=confidentiality.
func confidential(t *testing.T) bool { return strings.HasSuffix(kernelName(t), "-lockdown") }

func TestLockdown(t *testing.T) {
	want := "[none]"
	if confidential(t) {
		want = "[confidentiality]"
	}
	if mode, err := os.ReadFile("/sys/kernel/security/lockdown"); err != nil || !strings.Contains(string(mode), want) {
		t.Errorf("lockdown is %q (%v), want %s", mode, err, want)
	}
}

func TestRelease(t *testing.T) {
	series, _, _ := strings.Cut(kernelName(t), "-")
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(uts.Release[:])
	if want := os.Getenv("SKEP_KERNEL_RELEASE"); release != want {
		t.Errorf("running %s, the packages hold %s", release, want)
	}
	// The last kernel comes from Debian's testing suite, which moves on to the next series.
	if series != "7.2" && !strings.HasPrefix(release, series+".") {
		t.Errorf("running %s, want series %s", release, series)
	}
}

func TestKernelBTF(t *testing.T) {
	kernelName(t)
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	var task *btf.Struct
	if err := spec.TypeByName("task_struct", &task); err != nil {
		t.Fatal(err)
	}
}

func TestLSMList(t *testing.T) {
	want := bpfInLSM(t)
	list, err := os.ReadFile("/sys/kernel/security/lsm")
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Contains(strings.Split(strings.TrimSpace(string(list)), ","), "bpf"); got != want {
		t.Errorf("securityfs lists %s: bpf there is %t, want %t", list, got, want)
	}
}

func TestMounts(t *testing.T) {
	kernelName(t)
	for path, magic := range map[string]int64{
		"/proc":                unix.PROC_SUPER_MAGIC,
		"/sys/kernel/tracing":  unix.TRACEFS_MAGIC,
		"/sys/kernel/security": unix.SECURITYFS_MAGIC,
		"/sys/fs/bpf":          unix.BPF_FS_MAGIC,
		cgroup2():              unix.CGROUP2_SUPER_MAGIC,
		"/tmp":                 unix.TMPFS_MAGIC,
		"/run":                 unix.TMPFS_MAGIC,
	} {
		var fs unix.Statfs_t
		if err := unix.Statfs(path, &fs); err != nil || fs.Type != magic {
			t.Errorf("%s has file system %#x (%v), want %#x", path, fs.Type, err, magic)
		}
	}
}

// TestCgroupV1 checks the hybrid layout where the guest was booted with it.
func TestCgroupV1(t *testing.T) {
	name := kernelName(t)
	if os.Getenv("SKEP_CGROUP_V1") != "1" {
		if _, err := os.Stat("/sys/fs/cgroup/pids"); err == nil {
			t.Error("the guest has v1 controllers, and was to have cgroup2 alone")
		}
		return
	}
	// Debian builds 6.12 and later without CONFIG_MEMCG_V1.
	want := map[string]bool{"pids": true, "systemd": true, "memory": name == "5.10" || name == "6.1"}
	for controller, has := range want {
		_, err := os.Stat("/sys/fs/cgroup/" + controller + "/cgroup.procs")
		if (err == nil) != has {
			t.Errorf("v1 hierarchy %s: %v, want it there: %t", controller, err, has)
		}
	}
}

// cgroup2 is where the guest has it: alone, or beside v1.
func cgroup2() string {
	if os.Getenv("SKEP_CGROUP_V1") == "1" {
		return "/sys/fs/cgroup/unified"
	}
	return "/sys/fs/cgroup"
}

func TestLoopback(t *testing.T) {
	kernelName(t)
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		connectOnce(t, address)
	}
}

// TestDevices makes what the end-to-end tests need of modules: a veth pair, a bridge, an overlay, a namespace.
func TestDevices(t *testing.T) {
	kernelName(t)
	for _, script := range []string{
		"unshare -n ip link set lo up",
		"ip link add smoke0 type veth peer name smoke1 && ip link del smoke0",
		"ip link add smokebr type bridge && ip link del smokebr",
		"cd /tmp && mkdir -p l u w m && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w none m && umount m",
	} {
		if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", script, err, bytes.TrimSpace(out))
		}
	}
}

// connectOnce makes one TCP connection to a listener of ours.
func connectOnce(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
