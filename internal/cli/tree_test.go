// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func relative(pid, ppid uint32, parentExec string, start int) *skepv1.ProcessInfo {
	p := sampleProcess(pid, "c")
	p.Ppid, p.ParentExecId = ppid, parentExec
	return &skepv1.ProcessInfo{Process: p, Started: timestamppb.New(sampleTime.Add(time.Duration(start) * time.Second))}
}

func drawn(all []*skepv1.ProcessInfo) string {
	var b strings.Builder
	for _, l := range newForest(all).lines(all, screen{}) {
		b.WriteString(l.branch)
		b.WriteString(l.process.GetProcess().GetProcessId())
		b.WriteByte('\n')
	}
	return b.String()
}

func TestTreeShape(t *testing.T) {
	got := drawn([]*skepv1.ProcessInfo{relative(1, 0, "", 0), relative(2, 1, "", 1), relative(3, 2, "", 2), relative(4, 1, "", 3), relative(5, 4, "", 4)})
	want := "p-1\n|-p-2\n| `-p-3\n`-p-4\n  `-p-5\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTreeParents(t *testing.T) {
	gone := relative(8, 1, "", 1)
	gone.Exited = timestamppb.New(sampleTime.Add(5 * time.Second))
	for _, c := range []struct {
		name string
		all  []*skepv1.ProcessInfo
		want string
	}{
		{"adopted by init: the live ppid counts", []*skepv1.ProcessInfo{relative(1, 0, "", 0), gone, relative(9, 1, "e-8", 2)}, "p-1\n|-p-8\n`-p-9\n"},
		{"parent has ended: its exec id counts", []*skepv1.ProcessInfo{relative(1, 0, "", 0), gone, relative(9, 8, "e-8", 2)}, "p-1\n`-p-8\n  `-p-9\n"},
		{"pid given out again: not the parent", []*skepv1.ProcessInfo{relative(9, 8, "e-0", 2), relative(8, 0, "", 7)}, "p-9\np-8\n"},
		{"a ring of liars", []*skepv1.ProcessInfo{relative(2, 3, "", 0), relative(3, 2, "", 0)}, "p-3\n`-p-2\n"},
		{"its own parent", []*skepv1.ProcessInfo{relative(2, 2, "e-2", 0)}, "p-2\n"},
	} {
		if got := drawn(c.all); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, c.want)
		}
	}
}

func TestTreeOfALongChain(t *testing.T) {
	var all []*skepv1.ProcessInfo
	for pid := range uint32(5000) {
		all = append(all, relative(pid+1, pid, "", int(pid)))
	}
	if n := strings.Count(drawn(all), "\n"); n != len(all) {
		t.Errorf("%d lines for %d processes", n, len(all))
	}
}
