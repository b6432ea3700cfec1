// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// Every rung that works here gives the records of the best one, but for what its
// limits say.
func TestRungsAgree(t *testing.T) {
	var best []string
	var bestName string
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			needRung(t, rung.Name)
			w := start(t, rung.Name)
			got := w.shapes(t)
			if best == nil {
				best, bestName = got, rung.Name
				return
			}
			for _, want := range best {
				if !slices.Contains(got, want) && !lacks(rung.Name, want) {
					t.Errorf("missing, %s has it: %s", bestName, want)
				}
			}
			for _, shape := range got {
				if !slices.Contains(best, shape) && !lacks(rung.Name, shape) {
					t.Errorf("%s has not: %s", bestName, shape)
				}
			}
			if len(got) < len(best) && !strings.HasPrefix(rung.Name, "tp_btf") {
				t.Errorf("%d records, %s has %d", len(got), bestName, len(best))
			}
		})
	}
	if len(best) < 40 {
		t.Errorf("%d records compared, want the 40 and more that the roles make", len(best))
	}
}

// lacks is the documented difference: the errno of connects that fail within connect(2).
func lacks(rung, shape string) bool {
	return (strings.Contains(shape, "unreachable") || strings.HasPrefix(shape, "busy") && strings.Contains(shape, "flags=0x80")) &&
		!strings.HasPrefix(rung, "fexit")
}

// shapes plays roles and describes each of their records without what differs from
// run to run: times, ids, and process and port numbers, for which it uses the roles' names.
func (w *watch) shapes(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, args := range [][]string{
		{"ipv4", "address", "receive"}, {"ipv6", "null", "receive"}, {"mapped", "address", "send"},
		{"ipv4", "null", "send"}, {"ipv4", "null", "nothing"},
	} {
		said := play(t, "serve", args...)
		w.until(t, said.port(t, "port"), "both closes", closed(1))
		all = append(all, w.describe(t, strings.Join(args, " "), said, "port")...)
	}
	for _, ending := range []string{"half", "linger", "unread", "unaccepted"} {
		said := play(t, "endings", ending)
		w.until(t, said.port(t, "port"), "both closes", closed(1))
		all = append(all, w.describe(t, ending, said, "port")...)
	}
	said := play(t, "fail")
	for _, name := range []string{"refused", "refused6", "timeout", "cancelled", "busy", "unreachable", "unreachable6"} {
		if name == "unreachable" && strings.HasPrefix(w.rung.Name, "tp_btf") {
			break
		}
		w.until(t, said.port(t, name), "failed connect", func(tr *trace) bool {
			switch name { // in these two, connects in the background fail in other ways
			case "timeout":
				return len(failedBy(tr, unix.ETIMEDOUT, false)) > 0
			case "cancelled":
				return len(failedBy(tr, unix.ECANCELED, false)) > 0
			}
			return len(tr.failed) > 0
		})
		all = append(all, w.describe(t, name, said, name)...)
	}
	slices.Sort(all)
	return all
}

func (w *watch) describe(t *testing.T, name string, said said, portKey string) []string {
	t.Helper()
	port, who := said.port(t, portKey), map[uint32]string{}
	for _, role := range []string{"pid", "master", "worker", "client", "closer"} {
		if said[role] != "" {
			who[said.pid(t, role)] = role
		}
	}
	var all []string
	for _, e := range w.events {
		s := &e.Socket
		if s.Ends.LocalPort != port && s.Ends.RemotePort != port {
			continue
		}
		if (name == "timeout" || name == "cancelled") && e.Error != uint16(unix.ETIMEDOUT) && e.Error != uint16(unix.ECANCELED) {
			continue
		}
		flags := abi.TcpFlag(s.Flags) &^ abi.TcpPending
		if e.Header.Type == uint16(abi.EventAccept) {
			flags &^= abi.TcpClosedPeer | abi.TcpClosedLocal // it may come late
		}
		owner, accept := who[s.Owner.Tgid], s.Accept
		if e.Header.Type == uint16(abi.EventEstablished) && owner == "worker" { // who waits for it may be faster than its record
			owner, accept = "master", 0
		}
		all = append(all, fmt.Sprintf("%s: type %d server=%v owner=%s family=%d flags=%#x accept=%d errno=%d reason=%d sent=%d received=%d backlog=%d",
			name, e.Header.Type, s.Ends.LocalPort == port, owner, s.Family, flags, accept,
			e.Error, e.Reason, e.Traffic.BytesSent, e.Traffic.BytesReceived, e.Backlog))
	}
	return all
}

// needRung skips a rung only where the kernel has not what it is made of.
func needRung(t *testing.T, rung string) {
	t.Helper()
	if reason := lacking(t, rung); reason != "" {
		t.Skip(reason)
	}
}

// lacking says what the kernel lacks for a rung, found out without the sensor; "" for nothing.
func lacking(t *testing.T, rung string) string {
	t.Helper()
	if strings.HasPrefix(rung, "fexit") {
		program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFExit, AttachTo: "inet_csk_accept", License: "Dual BSD/GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
		})
		if err != nil {
			return fmt.Sprintf("needs fexit: %v", err)
		}
		program.Close()
	}
	if !strings.HasSuffix(rung, "_hash") && !kernelHas(t, "bpf_sk_storage_get_tracing") {
		return "needs socket storage for tracing programs (5.11)"
	}
	if rung == "cgroup" && !kernelHas(t, "btf_trace_sock_send_length") {
		return "needs the tracepoint sock_send_length (6.3)"
	}
	return ""
}

// kernelHas reports whether the kernel's BTF has a function or tracepoint of that name.
func kernelHas(t *testing.T, name string) bool {
	t.Helper()
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	_, err = kernel.AnyTypesByName(name)
	return err == nil
}

// The best rung that the kernel has the parts for is the one in use.
func TestRungOfThisKernel(t *testing.T) {
	want := map[string]string{
		"5.10": "fexit_hash", "6.1": "fexit", "6.12": "fexit", "6.12-nobpf": "fexit", "6.12-lockdown": "fexit", "7.2": "fexit",
	}[os.Getenv("SKEP_KERNEL")]
	if want == "" { // not one of the matrix
		for _, rung := range Sensor().Ladders[0].Rungs {
			if lacking(t, rung.Name) == "" {
				want = rung.Name
				break
			}
		}
	}
	if got := start(t, "").rung.Name; got != want {
		t.Errorf("rung %s is used, want %s", got, want)
	}
}

// Only a rung that counts every socket may say which ones are gone.
func TestCountsAll(t *testing.T) {
	for _, rung := range Sensor().Ladders[1].Rungs {
		lists := map[string]bool{}
		for _, p := range rung.Programs {
			lists[p] = true
		}
		if want := lists[countFiles] || lists[countStored] && lists[countHashed]; CountsAll(rung) != want {
			t.Errorf("rung %s counts all: %t, want %t", rung.Name, CountsAll(rung), want)
		}
	}
}
