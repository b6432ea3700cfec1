// SPDX-License-Identifier: Apache-2.0

package toolscript

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/tools"
)

const docsPage = "../../../docs/tools.md"

// docs/tools.md is written from the headers. Update it with UPDATE_DOCS=1.
func TestDocsAreCurrent(t *testing.T) {
	want := page(t)
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(docsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsPage)
	if err != nil || string(got) != want {
		t.Errorf("docs/tools.md is not what the headers say (%v); run: UPDATE_DOCS=1 go test -run TestDocsAreCurrent ./internal/agent/toolscript", err)
	}
}

const pageHead = `<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Written from the headers of tools/*.bt by: UPDATE_DOCS=1 go test -run TestDocsAreCurrent ./internal/agent/toolscript -->

# Named tools

` + "`skep tool` lists the scripts of the [tracing language](trace.md) that come with skep, `skep tool NAME` runs one, `skep NAME` is\n" +
	"the same. A verb of skep wins over a tool of its name: `skep trace` is the verb, `skep tool trace` the tool. `skep NAME --help`\n" +
	"explains a tool, `skep NAME --cat` prints its script. How to write one: [tools/README.md](../tools/README.md)." + `

All have the same options:

| | |
|---|---|
| ` + "`--pid PID`, `--comm NAME`, `--uid NUMBER`, `--container NAME`" + ` | show only what is of such processes |
| ` + "`--interval TIME`" + ` | print the maps and begin them again, each time; counts, sums and histograms lose nothing of what comes in between |
| ` + "`--top N`" + ` | show the N greatest entries of a map |
| ` + "`--duration TIME`" + ` | end after this time, as Ctrl-C does |
| ` + "`-o table`, `-o json`" + ` | in columns with units for people; a line of typed fields for each record |
| ` + "`--dry-run`, `--cat`, `-q`, `-v`" + ` | only load it; print its script; leave out the header; say how long it took to be ready |

The kernel applies them. Where all that a tool shows of a process happens in that process, its probes end at once for all others
(*at entry* below). Else the column or key of that name is compared, or the task that an event is about, where it is shown (*by
the record*), or where what is measured begins (*by the beginning*). Some tools are about no process and refuse these options,
with the reason. ` + "`--container`" + ` needs a host whose containers are in cgroup v2.

What a probe did not see is told: full rings and programs that the kernel did not run are counted while a tool runs, on the
standard error and as ` + "`lost_events`" + ` in JSON. What the kernel has no place for, such as kprobes on a kernel without them, is refused
with the reason.

` + "```console" + `
$ sudo skep opensnoop --duration 300ms
     PID      UID COMM                   FD ERRNO        PATH
...
$ sudo skep tool syscount --duration 300ms --top 3 -o json | jq -r .type
attached_probes
map
map
` + "```" + `

| tool | what it shows | role | served by | restricted | what to know |
|---|---|---|---|---|---|
`

func page(t *testing.T) string {
	t.Helper()
	all, err := tools.All()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(pageHead)
	for _, tool := range all {
		args := make([]string, len(tool.Options))
		for i := range args {
			args[i] = "FUNCTION"
		}
		program, _ := syntax.Parse(tool.Script, args)
		cells := []string{"`" + tool.Name + "`", strings.TrimSuffix(tool.Summary, "."), string(tool.Role), served(program), restricted(tool, program), notes(tool)}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	return b.String()
}

func restricted(t *tools.Tool, program *syntax.Program) string {
	switch {
	case t.Filter.None != "":
		return "no: " + t.Filter.None
	case atEntry(t, program):
		return "at entry"
	case len(t.Filter.At) > 0:
		return "by the beginning"
	}
	return "by the record"
}

func notes(t *tools.Tool) string {
	var all []string
	for _, n := range t.Notes {
		all = append(all, strings.TrimSuffix(n, "."))
	}
	return strings.ReplaceAll(strings.Join(all, "; "), "|", "\\|")
}

// served are the places that a tool's probes are at, each kind once.
func served(program *syntax.Program) string {
	var kinds []string
	names := map[string][]string{}
	add := func(kind, name string) {
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
		if !slices.Contains(names[kind], name) {
			names[kind] = append(names[kind], name)
		}
	}
	for _, p := range program.Probes {
		for _, point := range p.Points {
			switch {
			case ofNobody[point.Provider]:
			case point.Category == "syscalls":
				add("system calls", strings.TrimPrefix(strings.TrimPrefix(point.Event, "sys_enter_"), "sys_exit_"))
			case point.Provider == "tracepoint", point.Provider == "rawtracepoint":
				add("tracepoints", point.Event)
			case point.Provider == "profile":
				add("samples", fmt.Sprintf("%d times a second on each CPU", point.Count))
			default:
				add(strings.TrimSpace(strings.Replace(point.Provider, "uret", "u", 1)+" "+point.Path), point.Function)
			}
		}
	}
	var parts []string
	for _, kind := range kinds {
		parts = append(parts, kind+" "+strings.Join(names[kind], ", "))
	}
	return strings.Join(parts, "; ")
}
