// SPDX-License-Identifier: Apache-2.0

package smoke

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

const (
	hook  = "security_inode_mkdir" // runs in every mkdir, whatever the LSM list
	event = "sched_process_exec"
)

// locked is what lockdown=confidentiality refuses: tracefs, kprobes by perf event, and reads of kernel memory by helper.
var locked = []string{"tracepoint", "pin_tracepoint_link", "kprobe", "kretprobe", "probe_read_kernel"}

// TestPrograms attaches each kind of program and asserts that it runs, or is refused, as this kernel must.
func TestPrograms(t *testing.T) {
	kernelName(t)
	for _, tt := range []struct {
		name string
		// from is the first kernel of the matrix that can; the ones before it must refuse.
		from    string
		program func(*testing.T) program
		trigger func(*testing.T)
	}{
		{"tp_btf", "5.10", plain(tracing(ebpf.AttachTraceRawTp, event)), execTrue},
		{"raw_tracepoint", "5.10", plain(rawTracepoint(event)), execTrue},
		{"tracepoint", "5.10", plain(tracepoint("sched", event)), execTrue},
		{"probe_read_kernel", "5.10", plain(readKernel(event)), execTrue},
		{"fentry", "5.10", plain(tracing(ebpf.AttachTraceFEntry, hook)), mkdir},
		{"fexit", "5.10", plain(tracing(ebpf.AttachTraceFExit, hook)), mkdir},
		{"kprobe", "5.10", plain(kprobe(link.Kprobe, hook)), mkdir},
		{"kretprobe", "5.10", plain(kprobe(link.Kretprobe, hook)), mkdir},
		// Debian's 6.1 is new enough, but built without CONFIG_FPROBE.
		{"kprobe_multi", "6.12", plain(kprobeMulti(hook)), mkdir},
		{"iter_task", "5.10", plain(iterTask()), func(*testing.T) {}},
		{"cgroup_sock_create", "5.10", plain(cgroup(ebpf.AttachCGroupInetSockCreate, ebpf.CGroupSock)), connect},
		{"cgroup_skb_ingress", "5.10", plain(cgroup(ebpf.AttachCGroupInetIngress, ebpf.CGroupSKB)), connect},
		{"cgroup_connect4", "5.10", plain(cgroup(ebpf.AttachCGroupInet4Connect, ebpf.CGroupSockAddr)), connect},
		{"xdp_generic", "5.10", plain(xdp()), connect},
		{"tcx", "6.12", plain(tcx()), connect},
		{"pin_tracepoint_link", "6.1", func(t *testing.T) program { return pinnedTracepoint(t, "sched", event) }, execTrue},
		{"atomic_fetch_add", "6.1", plain(fetchAdd(event)), execTrue},
		{"task_storage_in_tp_btf", "6.1", stored(ebpf.TaskStorage, taskStorage, event), execTrue},
		{"sk_storage_in_tp_btf", "6.1", stored(ebpf.SkStorage, sockStorage, "inet_sock_set_state"), connect},
	} {
		t.Run(tt.name, func(t *testing.T) {
			runs, err := tt.program(t).start(t)
			if !since(t, tt.from) {
				mustRefuse(t, err, tt.from)
				return
			}
			if confidential(t) && slices.Contains(locked, tt.name) {
				mustRefuse(t, err, "no lockdown=confidentiality")
				return
			}
			if err != nil {
				t.Fatalf("load and attach: %+v", err)
			}
			tt.trigger(t)
			if runs() == 0 {
				t.Error("attached, and never ran")
			}
		})
	}
}

// TestDenial attaches programs that forbid an operation, and asserts whether it is forbidden.
func TestDenial(t *testing.T) {
	kernelName(t)
	for _, tt := range []struct {
		name, from string
		program    program
		operation  func(path string) error
		// denies is what must happen; loading and attaching succeed also where nothing is denied.
		denies bool
	}{
		{"lsm", "5.10", lsm("inode_mkdir", 0), makeDir, bpfInLSM(t)},
		{"lsm_sleepable", "6.1", lsm("inode_rename", unix.BPF_F_SLEEPABLE), rename, bpfInLSM(t)},
		{"fmod_ret", "5.10", modifyReturn(hook), makeDir, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := t.TempDir() + "/x"
			runs, err := tt.program.start(t)
			if !since(t, tt.from) {
				mustRefuse(t, err, tt.from)
				return
			}
			if err != nil {
				t.Fatalf("load and attach: %+v", err)
			}
			err = tt.operation(path)
			if denied := errors.Is(err, unix.EPERM); denied != tt.denies {
				t.Errorf("with the program attached: %v: denied %t, want %t", err, denied, tt.denies)
			}
			t.Logf("with the program attached: %v (%d runs)", err, runs())
		})
	}
}

func makeDir(path string) error { return os.Mkdir(path, 0o755) }

func rename(path string) error {
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	return os.Rename(path, path+"2")
}

func mustRefuse(t *testing.T, err error, from string) {
	t.Helper()
	if err == nil {
		t.Fatalf("loaded and attached: this kernel was thought to need %s for it", from)
	}
	t.Logf("refused, as it must be without %s: %v", from, err)
}

func plain(p program) func(*testing.T) program {
	return func(*testing.T) program { return p }
}

// stored makes a program with a storage map. A kernel without that map cannot load the program either: the map is
// left out then, and the missing helper is what it refuses.
func stored(kind ebpf.MapType, make func(*ebpf.Map, string) program, target string) func(*testing.T) program {
	return func(t *testing.T) program {
		m, err := localStorage(kind)
		if err != nil {
			t.Logf("create %s: %v", kind, err)
			if m, err = localStorage(ebpf.SkStorage); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { m.Close() })
		return make(m, target)
	}
}

func execTrue(t *testing.T) {
	t.Helper()
	if err := exec.Command("true").Run(); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T) {
	t.Helper()
	t.TempDir()
}

func connect(t *testing.T) {
	t.Helper()
	connectOnce(t, "127.0.0.1:0")
}
