// SPDX-License-Identifier: Apache-2.0

package toolscript

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/tools"
)

func number(n uint32) *uint32 { return &n }

func parsed(t *testing.T, tool *tools.Tool) *syntax.Program {
	t.Helper()
	program, errs := syntax.Parse(tool.Script, make([]string, len(tool.Options)))
	if len(errs) > 0 && len(tool.Options) == 0 {
		t.Fatal(errs.Err())
	}
	return program
}

// TestRestrict: what is compared, and where.
func TestRestrict(t *testing.T) {
	pid := Restriction{PID: 7}
	everything := Restriction{PID: 7, Comm: "a", UID: number(8), Cgroups: []uint64{9}}
	for _, c := range []struct {
		tool  string
		r     Restriction
		entry bool
		want  string // in the program that was rewritten; "" if it was not
	}{
		{"opensnoop", pid, true, ""},
		{"opensnoop", Restriction{}, true, ""},
		{"opensnoop", everything, true, `if (comm == "a" && uid == 8) { printf(`},
		{"biosnoop", pid, false, `if (pid == 7) { @begin[`},
		{"biosnoop", everything, false, `if (cgroup == 9 && comm == "a" && pid == 7 && uid == 8) { @bytes[`},
		{"biotop", everything, false, `args.comm == "a"`},
		{"tcplife", pid, false, `if (@pid[args.skaddr] == 7) {`},
		{"tcplife", everything, false, `@user[args.skaddr] == 8`},
		{"runqlat", pid, false, `if (args.next->tgid == 7) { @us = hist(`},
		{"runqlat", everything, false, `args.next->cred->uid.val == 8`},
		{"wakeuptime", everything, false, `args.p->cgroups->dfl_cgrp->kn->id == 9`},
		{"filelife", pid, false, `if (pid == 7) {`},
		{"memleak", everything, true, `if (comm == "a" && uid == 8) { @size[tid] =`},
		{"setuids", Restriction{UID: number(8)}, true, `if (@user[tid] == 8) {`},
		{"cachestat", pid, false, `if (pid == 7) { @added = sum(`},
		{"runqlen", pid, false, "error: "},
	} {
		tool, err := tools.Get(c.tool)
		if err != nil {
			t.Fatal(err)
		}
		program := parsed(t, tool)
		before := syntax.Print(program)
		entry, err := Restrict(tool, program, c.r)
		after := syntax.Print(program)
		switch flat := strings.Join(strings.Fields(after), " "); {
		case c.want == "error: ":
			if err == nil || !strings.Contains(err.Error(), tool.Filter.None) {
				t.Errorf("%s: %v", c.tool, err)
			}
		case err != nil || entry != c.entry:
			t.Errorf("%s: at entry %t, %v", c.tool, entry, err)
		case c.want == "" && after != before:
			t.Errorf("%s %+v was rewritten to\n%s", c.tool, c.r, after)
		case !strings.Contains(flat, c.want):
			t.Errorf("%s %+v has no %s:\n%s", c.tool, c.r, c.want, after)
		}
	}
}

// TestEntry: which tools are restricted where each probe begins, which is cheapest.
func TestEntry(t *testing.T) {
	all, err := tools.All()
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, tool := range all {
		if tool.Filter.None == "" && atEntry(tool, parsed(t, tool)) {
			at = append(at, tool.Name)
		}
	}
	const want = "argdist bashreadline bindsnoop fileslower filetop funccount funclatency gethostlatency killsnoop memleak " +
		"mountsnoop opensnoop setuids sslsniff stackcount statsnoop syncsnoop syscount tcpaccept trace"
	if got := strings.Join(at, " "); got != want {
		t.Errorf("at entry are\n%s, expected\n%s", got, want)
	}
}

// TestFilters: what the headers compare is an expression.
func TestFilters(t *testing.T) {
	all, err := tools.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range all {
		texts := slices.Collect(maps.Values(tool.Filter.Facts))
		if tool.Filter.Task != "" {
			texts = append(texts, tool.Filter.Task)
		}
		for _, text := range texts {
			if _, err := parseExpr(text); err != nil {
				t.Errorf("%s: filter %s: %v", tool.Name, text, err)
			}
		}
	}
}

// TestEvery: the tool's own interval is changed, or one is added.
func TestEvery(t *testing.T) {
	for name, want := range map[string]string{"biotop": "interval:us:2500000", "runqlat": "interval:us:2500000", "opensnoop": "error"} {
		tool, err := tools.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		program := parsed(t, tool)
		err = Every(tool, program, 2500*time.Millisecond)
		text := syntax.Print(program)
		switch {
		case want == "error":
			if err == nil {
				t.Errorf("%s has an interval", name)
			}
		case err != nil || strings.Count(text, want) != 1 || strings.Contains(text, "interval:s:1") || !strings.Contains(text, "clear"):
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

// FuzzOptions: whatever a request asks for, it is refused or the program can be printed and
// read again.
func FuzzOptions(f *testing.F) {
	f.Add("opensnoop", "a\"b\\", "0", "5s", "3")
	f.Add("runqlat", "\x01'", "4294967295", "10ms", "1048576")
	f.Add("biotop", "%s $x", "+1", "24h", "1e3")
	f.Fuzz(func(t *testing.T, name, comm, uid, interval, top string) {
		tool, err := tools.Get(name)
		if err != nil {
			return
		}
		o, err := tools.ParseOptions(map[string]string{"comm": comm, "uid": uid, "interval": interval, "top": top})
		if err != nil {
			return
		}
		if len(o.Comm) > tools.LongestComm || o.UID == nil || o.Interval < tools.ShortInterval || o.Top < 1 {
			t.Fatalf("taken: %+v", o)
		}
		program := parsed(t, tool)
		if _, err := Restrict(tool, program, Restriction{Comm: o.Comm, UID: o.UID}); err != nil {
			return
		}
		_ = Every(tool, program, o.Interval) // of some tools an error
		if _, errs := syntax.Parse(syntax.Print(program), make([]string, len(tool.Options))); len(errs) > 0 && len(tool.Options) == 0 {
			t.Fatalf("%v in\n%s", errs.Err(), syntax.Print(program))
		}
	})
}
