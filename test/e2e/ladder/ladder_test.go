// SPDX-License-Identifier: Apache-2.0

// Package ladder checks which rung of each ladder the agent uses on which kernel.
package ladder

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/host"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// want is the rung that each kernel of the matrix must use, by SKEP_KERNEL. A change here
// is a change in what skep can do there: say so in the documents.
var want = map[string]map[string]string{
	"5.10":          rungs("tp_btf_pid", "fexit_hash", "cgroup_skb_probe", "fexit_probe"),
	"6.1":           rungs("tp_btf", "fexit", "cgroup_skb", "fexit"),
	"6.1-lockdown":  with(rungs("tp_btf", "fexit", "cgroup_skb", "fexit"), "traffic", "iter_stored"),
	"6.12":          rungs("tp_btf", "fexit", "cgroup_skb", "fexit"),
	"6.12-nobpf":    rungs("tp_btf", "fexit", "cgroup_skb", "fexit"),
	"6.12-lockdown": with(rungs("tp_btf", "fexit", "cgroup_skb", "fexit"), "traffic", "iter_stored"),
	"7.2":           rungs("tp_btf", "fexit", "cgroup_skb", "fexit"),
}

func rungs(oom, tcp, packets, unix string) map[string]string {
	return map[string]string{
		"cgroup": "tp_btf", "fork": "tp_btf", "exec": "tp_btf", "exit": "tp_btf", "oom": oom, "tcp": tcp, "traffic": "iter", "dns": packets,
		"udp": packets, "unix": unix,
	}
}

func with(all map[string]string, signal, rung string) map[string]string {
	all[signal] = rung
	return all
}

func TestMain(m *testing.M) { os.Exit(skepdtest.Main(m)) }

func TestRungOfThisKernel(t *testing.T) {
	report := doctor(t)
	if !report.Ok {
		t.Errorf("the doctor says that the agent cannot run here: %v", report.Checks)
	}
	report.Signals = slices.DeleteFunc(report.Signals, ofHost)
	for _, s := range report.Signals {
		if s.Signal == "" || s.Rung == "" || !s.Available {
			t.Errorf("signal %q has no rung: %v", s.Signal, s.Rungs)
		}
	}
	if kernel := os.Getenv("SKEP_KERNEL"); kernel != "" {
		checkKernel(t, kernel, report)
		return
	}
	checkUnknownKernel(t, report)
}

func checkKernel(t *testing.T, kernel string, report *skepv1.GetDoctorResponse) {
	expected, ok := want[kernel]
	if !ok {
		t.Fatalf("kernel %q is not in the table of this test", kernel)
	}
	seen := map[string]bool{}
	for _, s := range report.Signals {
		seen[s.Signal] = true
		if s.Rung != expected[s.Signal] {
			t.Errorf("signal %s uses rung %q on %s, want %q: %v", s.Signal, s.Rung, kernel, expected[s.Signal], s.Rungs)
		}
	}
	for signal := range expected {
		if !seen[signal] {
			t.Errorf("signal %s is not in the report", signal)
		}
	}
}

// checkUnknownKernel holds for any kernel: each rung above the one in use has a reason
// that is not just "a better one works", and less than the best comes with limits.
func checkUnknownKernel(t *testing.T, report *skepv1.GetDoctorResponse) {
	for _, s := range report.Signals {
		for _, r := range s.Rungs {
			if r.Name == s.Rung {
				break
			}
			if r.State != "unavailable" || r.Reason == "" {
				t.Errorf("signal %s: rung %s above %s is %s with reason %q", s.Signal, r.Name, s.Rung, r.State, r.Reason)
			}
		}
		if s.Rung != s.Rungs[0].Name && (len(s.Limits) == 0 || s.Advice == "") {
			t.Errorf("signal %s uses the lower rung %s without saying what it lacks and what would help", s.Signal, s.Rung)
		}
	}
}

// wantFile is that of the file sensor, which is tried only where paths are watched. Under
// lockdown=confidentiality there is none: it reads names by helper.
var wantFile = map[string]string{
	"5.10": "kprobe", "6.1": "fentry_probe", "6.1-lockdown": "", "6.12": "fentry", "6.12-nobpf": "fentry", "6.12-lockdown": "", "7.2": "fentry",
}

func TestFileRung(t *testing.T) {
	report := doctor(t, "--config", skepdtest.WriteConfig(t, "sensors: {files: {paths: [/etc]}}\n"))
	i := slices.IndexFunc(report.Signals, func(s *skepv1.SignalStatus) bool { return s.Signal == "file" })
	if i < 0 {
		t.Fatal("the report has no signal file")
	}
	file := report.Signals[i]
	kernel := os.Getenv("SKEP_KERNEL")
	if kernel == "" {
		checkUnknownKernel(t, &skepv1.GetDoctorResponse{Signals: []*skepv1.SignalStatus{file}})
		return
	}
	if want, ok := wantFile[kernel]; !ok || file.Rung != want {
		t.Errorf("rung %q on %s, want %q: %v", file.Rung, kernel, want, file.Rungs)
	}
	if len(file.Limits) == 0 && file.Rung != "" {
		t.Error("it does not say what no rung can do")
	}
}

func ofHost(s *skepv1.SignalStatus) bool { return slices.Contains(host.Groups(), s.Signal) }

// wantHost are those of the host sensor, in the order of its groups.
var wantHost = map[string]string{
	"5.10": "ptrace=fexit_probe mount=fexit_probe setns=fexit_probe unshare=fexit_probe module=tp_btf_probe bpf=sys_exit setuid=fexit_probe " +
		"kill=fexit_probe memfd=sys_exit capability=fexit_probe",
	"6.1": "ptrace=fexit mount=fexit setns=fexit unshare=fexit module=kretprobe bpf=kretprobe setuid=kretprobe kill=fexit memfd=kretprobe capability=fexit",
	"6.1-lockdown": "ptrace=fexit mount=fexit setns=fexit unshare=fexit module=tp_btf bpf=sys_exit setuid=sys_exit kill=fexit memfd=sys_exit " +
		"capability=fexit",
	"6.12": allFexit, "6.12-nobpf": allFexit, "6.12-lockdown": allFexit, "7.2": allFexit,
}

const allFexit = "ptrace=fexit mount=fexit setns=fexit unshare=fexit module=fexit bpf=fexit setuid=fexit kill=fexit memfd=fexit capability=fexit"

// TestHostRungs: of each group of calls the rung that is expected, if it is named; by
// default none that other calls pay for.
func TestHostRungs(t *testing.T) {
	named := doctor(t, "--config", skepdtest.WriteConfig(t, "sensors: {host: {calls: ["+strings.Join(host.Groups(), ", ")+"]}}\n"))
	kernel, used := os.Getenv("SKEP_KERNEL"), []string{}
	for _, s := range named.Signals {
		if ofHost(s) {
			used = append(used, s.Signal+"="+s.Rung)
		}
	}
	if got := strings.Join(used, " "); kernel != "" && got != wantHost[kernel] {
		t.Errorf("on %s:\n%s, want\n%s", kernel, got, wantHost[kernel])
	}
	named.Signals = slices.DeleteFunc(named.Signals, func(s *skepv1.SignalStatus) bool { return !ofHost(s) || s.Rung == "" })
	if kernel == "" {
		checkUnknownKernel(t, named)
	}
	for _, s := range doctor(t).Signals {
		if ofHost(s) && (host.IsTaxing(s.Rung) || s.Signal == "capability" && s.Rung != "") {
			t.Errorf("%s uses the rung %s by default", s.Signal, s.Rung)
		}
	}
}

// TestForcedRung: a forced rung is the only one tried, on any kernel. These two read by
// helper, which lockdown=confidentiality forbids: there they say so, and nothing stands in.
func TestForcedRung(t *testing.T) {
	report := doctor(t, "--force-rung", "exec=raw_tp,tcp=tp_btf_hash")
	for _, s := range report.Signals {
		forced := map[string]string{"exec": "raw_tp", "tcp": "tp_btf_hash"}[s.Signal]
		switch {
		case forced == "":
		case kern.Lockdown() != "confidentiality":
			if s.Rung != forced {
				t.Errorf("signal %s uses rung %q: %v", s.Signal, s.Rung, s.Rungs)
			}
		case s.Rung != "" || s.Available || !strings.Contains(reasonOf(s, forced), "bpf_probe_read"):
			t.Errorf("signal %s uses rung %q under lockdown=confidentiality: %v", s.Signal, s.Rung, s.Rungs)
		}
	}
}

func reasonOf(s *skepv1.SignalStatus, rung string) string {
	for _, r := range s.Rungs {
		if r.Name == rung {
			return r.Reason
		}
	}
	return ""
}

func doctor(t *testing.T, args ...string) *skepv1.GetDoctorResponse {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	out, err := exec.Command(skepdtest.Build(t, "skepd"), append([]string{"doctor"}, args...)...).Output()
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			t.Fatalf("skepd doctor: %v: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		t.Fatal(err)
	}
	report := &skepv1.GetDoctorResponse{}
	if err := proto.Unmarshal(out, report); err != nil {
		t.Fatal(err)
	}
	return report
}
