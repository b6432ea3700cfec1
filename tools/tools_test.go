// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt/syntax"
)

// named are the tools that the documentation promises.
const named = `execsnoop exitsnoop opensnoop statsnoop syncsnoop killsnoop sigsnoop capable setuids mountsnoop
bindsnoop tcpconnect tcpaccept tcplife tcpstates tcpretrans tcpdrop tcptop tcprtt tcpconnlat gethostlatency
biolatency biosnoop biotop bitesize runqlat runqlen runqslower cpudist offcputime wakeuptime profile hardirqs
softirqs syscount funccount funclatency stackcount trace argdist memleak oomkill bashreadline sslsniff filetop
fileslower cachestat filelife`

func TestToolsAreThere(t *testing.T) {
	for _, name := range strings.Fields(named) {
		if _, err := Get(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := Get("../go.mod"); err == nil {
		t.Error("a path is taken for a tool")
	}
}

// TestHeadersFitTheScripts compares what each header says with what its script does.
func TestHeadersFitTheScripts(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range all {
		t.Run(tool.Name, func(t *testing.T) {
			args := make([]string, len(tool.Options))
			for i, o := range tool.Options {
				if args[i] = o.Default; o.Required {
					args[i] = "vfs_read"
				}
			}
			program, errors := syntax.Parse(tool.Script, args)
			for _, err := range errors {
				t.Error(err.Render(tool.Name+".bt", tool.Script))
			}
			s := &script{maps: map[string]bool{}, cleared: map[string]bool{}}
			s.visit(reflect.ValueOf(program))
			s.compare(t, tool)
			if !strings.HasPrefix(tool.Example, "skep tool "+tool.Name) {
				t.Errorf("example is %q", tool.Example)
			}
			if !strings.HasSuffix(tool.Summary, ".") {
				t.Errorf("summary is no sentence: %q", tool.Summary)
			}
		})
	}
}

// script is what a script prints, keeps and takes.
type script struct {
	printed    []int // arguments of each printf behind the format
	maps       map[string]bool
	cleared    map[string]bool // in END, so that they are not printed
	parameters []int
	inEnd      bool
}

// visit walks over all of a tree.
func (s *script) visit(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return
		}
		s.node(v.Interface())
		s.visit(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			s.visit(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			s.visit(v.Field(i))
		}
	}
}

func (s *script) node(n any) {
	switch n := n.(type) {
	case *syntax.Probe:
		s.inEnd = n.Points[0].Provider == "end"
	case *syntax.AttachPoint:
		if n.Function == "vfs_read" {
			s.parameters = append(s.parameters, 1)
		}
	case *syntax.Map:
		s.maps[n.Name] = true
	case *syntax.Positional:
		if n.Number > 0 {
			s.parameters = append(s.parameters, n.Number)
		}
	case *syntax.Call:
		if n.Name == "printf" {
			s.printed = append(s.printed, len(n.Args)-1)
		}
		if n.Name == "clear" && s.inEnd {
			s.cleared[n.Args[0].(*syntax.Map).Name] = true
		}
	}
}

// compare says where header and script do not agree. Maps that are cleared at the end are
// the script's own; all others are shown and have to be described.
func (s *script) compare(t *testing.T, tool *Tool) {
	t.Helper()
	for _, n := range s.printed {
		if n != len(tool.Columns) {
			t.Errorf("a printf has %d arguments, the header %d columns", n, len(tool.Columns))
		}
	}
	if len(s.printed) == 0 && len(tool.Columns) > 0 {
		t.Error("columns without a printf")
	}
	described := map[string]bool{}
	for _, m := range tool.Maps {
		if described[m.Name] = true; !s.maps[m.Name] {
			t.Errorf("map %s is described but not used", m.Name)
		}
	}
	for name := range s.maps {
		if !s.cleared[name] && !described[name] {
			t.Errorf("map %s is printed when the tool ends, and not described", name)
		}
	}
	for _, n := range s.parameters {
		if n > len(tool.Options) {
			t.Errorf("$%d is not described", n)
		}
	}
	for _, o := range tool.Options {
		if !slices.Contains(s.parameters, o.Number) {
			t.Errorf("$%d is described and not used", o.Number)
		}
	}
}

func TestBadHeaders(t *testing.T) {
	const good = "// summary: A.\n// example: skep tool x\n"
	for _, line := range []string{"role: king", "column: one", "map: x y", "map: @x a,b us ms", "option: $2 a int 0 text", "option: $1 a", "colour: red"} {
		if _, err := parseTool("x", good+"// "+line+"\n"); err == nil {
			t.Errorf("%q is read without an error", line)
		}
	}
	if _, err := parseTool("x", "// summary: A.\n"); err == nil {
		t.Error("a header without an example is read without an error")
	}
	got, err := parseTool("x", good+"// option: $1 a int required some text\n// map: @m a,b histogram us\n// map: @n count\n")
	if err != nil {
		t.Fatal(err)
	}
	want := "[{1 a int true  some text}] [{@m [a b] true us} {@n [] false count}]"
	if s := fmt.Sprint(got.Options, got.Maps); s != want {
		t.Errorf("read as %s, expected %s", s, want)
	}
}

func TestArguments(t *testing.T) {
	tool, err := Get("runqslower")
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{"": "10000", "5": "5", "0x10": "0x10", "x": "", "1 2": ""} {
		got, err := tool.Arguments(strings.Fields(given))
		if strings.Join(got, " ") != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", given, got, err)
		}
	}
}
