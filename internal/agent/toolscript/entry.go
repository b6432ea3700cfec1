// SPDX-License-Identifier: Apache-2.0

package toolscript

import (
	"reflect"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/tools"
)

// ofProcess are the providers whose probes run for the process that calls.
var ofProcess = map[string]bool{
	"uprobe": true, "uretprobe": true, "usdt": true, "kprobe": true, "kretprobe": true, "fentry": true, "fexit": true,
}

// ofNobody are those that run for no process.
var ofNobody = map[string]bool{"begin": true, "end": true, "interval": true}

// atEntry tells whether all that a tool shows of a process it learns in probes that run for
// that process: then all its probes may be kept to it. It is not so where the tool keeps
// something that another process may find, which is in a map with another key than the
// thread or the process.
func atEntry(t *tools.Tool, program *syntax.Program) bool {
	if t.Filter.Task != "" || t.Filter.Facts["pid"] != "" || t.Filter.Facts["cgroup"] != "" {
		return false
	}
	for _, p := range program.Probes {
		for _, point := range p.Points {
			syscall := point.Provider == "tracepoint" && (point.Category == "syscalls" || point.Category == "raw_syscalls")
			if !syscall && !ofProcess[point.Provider] && !ofNobody[point.Provider] {
				return false
			}
		}
		if !ofNobody[p.Points[0].Provider] && !ofCurrent(t, p) {
			return false
		}
	}
	return true
}

// ofCurrent tells whether a probe keeps and shows things of the current process only.
func ofCurrent(t *tools.Tool, p *syntax.Probe) bool {
	fine := true
	visit(reflect.ValueOf(p), func(n any) {
		switch n := n.(type) {
		case *syntax.Map:
			fine = fine && (n.Key == nil || described(t, n.Name) || begins(n.Key, "tid") || begins(n.Key, "pid"))
		case syntax.Stmt:
			if named, shows := shows(t, n); shows && named["pid"] != nil {
				fine = fine && begins(named["pid"], "pid")
			}
		}
	})
	return fine
}

func described(t *tools.Tool, name string) bool {
	for _, m := range t.Maps {
		if m.Name == name {
			return true
		}
	}
	return false
}

// begins tells whether the first part of a key is a builtin.
func begins(key syntax.Expr, builtin string) bool {
	if tuple, ok := key.(*syntax.Tuple); ok && len(tuple.Elems) > 0 {
		key = tuple.Elems[0]
	}
	name, ok := key.(*syntax.Name)
	return ok && name.Name == builtin
}

// visit calls fn with each pointer of a tree.
func visit(v reflect.Value, fn func(node any)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return
		}
		if v.Kind() == reflect.Pointer {
			fn(v.Interface())
		}
		visit(v.Elem(), fn)
	case reflect.Slice:
		for i := range v.Len() {
			visit(v.Index(i), fn)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			visit(v.Field(i), fn)
		}
	}
}
