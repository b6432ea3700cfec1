// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
)

// TestSubstitutePage keeps docs/kprobes.md equal to the table; UPDATE_DOCS=1 writes it.
func TestSubstitutePage(t *testing.T) {
	const path, mark = "../../docs/kprobes.md", "<!-- The table is made by UPDATE_DOCS=1 go test -run TestSubstitutePage ./internal/bt -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(page), mark)
	if !found {
		t.Fatalf("%s has no line %q", path, mark)
	}
	want := before + mark + substituteTable(t)
	if string(page) == want {
		return
	}
	if os.Getenv("UPDATE_DOCS") == "" {
		t.Fatalf("%s is not what the table says; run UPDATE_DOCS=1 go test -run TestSubstitutePage ./internal/bt", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func substituteTable(t *testing.T) string {
	type entry struct{ on, differs []string }
	entries := map[string]*entry{}
	for _, row := range bt.Substitutes() {
		program, errs := syntax.Parse(row.On, nil)
		if len(errs) > 0 {
			t.Fatal(errs.Err())
		}
		name := map[bt.ProbeKind]string{bt.Kprobe: "kprobe:", bt.Kretprobe: "kretprobe:"}[row.Kind] + row.Function
		e := entries[name]
		if e == nil {
			e = &entry{}
			entries[name] = e
		}
		e.on = append(e.on, "`"+program.Probes[0].Points[0].Text+"`")
		if row.Differs != "" && !slices.Contains(e.differs, row.Differs) {
			e.differs = append(e.differs, row.Differs)
		}
	}
	var names []string
	for name := range entries {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		_, x, _ := strings.Cut(a, ":")
		_, y, _ := strings.Cut(b, ":")
		return cmp.Or(strings.Compare(strings.TrimLeft(x, "_"), strings.TrimLeft(y, "_")), strings.Compare(x, y), strings.Compare(a, b))
	})
	var b strings.Builder
	b.WriteString("| probe | runs on | what differs |\n|---|---|---|\n")
	for _, name := range names {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, strings.Join(entries[name].on, ", "), strings.Join(entries[name].differs, "; "))
	}
	return b.String()
}

// TestInstead: without probes on functions a probe runs on fentry, and without that on what
// the table has; what is not known there is told.
func TestInstead(t *testing.T) {
	functions := map[bt.ProbeKind]bool{bt.Kprobe: true, bt.Kretprobe: true}
	all := map[bt.ProbeKind]bool{bt.Kprobe: true, bt.Kretprobe: true, bt.Fentry: true, bt.Fexit: true}
	for _, c := range []struct {
		script        string
		without       map[bt.ProbeKind]bool
		kind          bt.ProbeKind
		via           string
		warning, fail string
	}{
		{`kprobe:vfs_read { @[arg1] = count(); }`, nil, bt.Kprobe, "", "", ""},
		{`kprobe:vfs_read { @[arg1, args.count, probe, func] = count(); }`, functions, bt.Fentry, "fentry:vfs_read", "", ""},
		{`kretprobe:vfs_read { @[retval] = count(); }`, functions, bt.Fexit, "fexit:vfs_read", "", ""},
		{`kprobe:do_sys_openat2 { @[arg0, str(arg1), probe] = count(); }`, all, bt.Tracepoint, "tracepoint:syscalls:sys_enter_openat", "", ""},
		{`kprobe:do_sys_openat2 { @[arg4] = count(); }`, all, bt.Tracepoint, "tracepoint:syscalls:sys_enter_openat", "arg4 of kprobe:do_sys_openat2 is not known where it runs instead", ""},
		{`kprobe:do_sys_open* { @ = count(); }`, all, bt.Tracepoint, "tracepoint:syscalls:sys_enter_openat", "", ""},
		{`kretprobe:do_sys_openat2 { @[retval] = count(); }`, all, bt.Tracepoint, "tracepoint:syscalls:sys_exit_openat", "", ""},
		{`kprobe:do_sys_openat2 { print(reg("di")) }`, all, 0, "", "", "reg() is not there where"},
		{`kprobe:do_sys_openat2 { print(sarg0) }`, all, 0, "", "", "sarg0 is not there where"},
		{`kprobe:do_sys_openat2 { print(ctx) }`, all, 0, "", "", "ctx is not there where"},
		{`kprobe:vfs_read { print(arg5) }`, functions, 0, "", "", "so no arg5"},
		{`kprobe:tcp_connect+4 { print(1) }`, all, 0, "", "", "there is no probe"},
		{`kprobe:no_such_function { print(1) }`, all, 0, "", "", "there is no probe"},
	} {
		program, errs := syntax.Parse(c.script, nil)
		if len(errs) > 0 {
			t.Fatalf("%s: %v", c.script, errs.Err())
		}
		script, problems := bt.Compile(program, &fakeHost{}, bt.Options{Without: c.without})
		if c.fail != "" {
			if script != nil || len(problems) != 1 || !strings.Contains(problems[0].Text, c.fail) {
				t.Errorf("%s: %v, want %q", c.script, problems, c.fail)
			}
			continue
		}
		if script == nil {
			t.Errorf("%s: %v", c.script, problems)
			continue
		}
		p := script.Probes[0]
		asked, _, _ := strings.Cut(c.script, " ")
		asked, _, _ = strings.Cut(asked, "*")
		if p.Kind != c.kind || p.Targets[0].Via != c.via || !strings.HasPrefix(p.Targets[0].Name, asked) {
			t.Errorf("%s: kind %d, %+v", c.script, p.Kind, p.Targets[0])
		}
		if warned := fmt.Sprint(script.Warnings); c.warning == "" && len(script.Warnings) > 0 || !strings.Contains(warned, c.warning) {
			t.Errorf("%s: warnings %s", c.script, warned)
		}
	}
}
