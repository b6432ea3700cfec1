// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// addWatchpoints takes those targets that watch an argument of a function out of a list. Each
// is two units, and it is told whether there was one: its own, which is attached to nothing at first, and one at the entry of the
// function, which tells the reader of the ring the address. If it is no asynchronous one it
// stops the process as well, until the reader has attached the watchpoint.
func (s *script) addWatchpoints(kind ProbeKind, probe *syntax.Probe, targets *[]Target) (found bool) {
	var others []Target
	for _, t := range *targets {
		if t.Function == "" {
			others = append(others, t)
			continue
		}
		found = true
		watch := newUnit(kind, probe, probe.Pos, []Target{t})
		at := t
		at.Name, at.Mode, at.Period = "uprobe:"+t.Binary+":"+t.Function, "", 0
		arm := newUnit(Uprobe, &syntax.Probe{At: syntax.At{Pos: probe.Pos}, Body: &syntax.Block{}}, probe.Pos, []Target{at})
		arm.arms = watch
		s.units = append(s.units, watch, arm)
	}
	*targets = others
	return found
}

const sigStop = 19

// tellAddress tells of the address that a watchpoint is to watch.
func (f *lowering) tellAddress(watch *unit) {
	number := 0
	for i, u := range f.units {
		if u == watch {
			number = i
		}
	}
	address := f.registerWord(argumentRegister(f.machine.Arch, watch.targets[0].Argument))
	pid := f.pid(nil).word
	words := []*compile.Value{f.constant(int64(number)), address, pid}
	action := Action{Kind: Watch}
	for i := range words {
		action.Args = append(action.Args, Field{Type: uint64Type, Offset: (i + 1) * word})
	}
	f.record(action, (len(words)+1)*word, wakeup, func(p *compile.Value) {
		for i, w := range words {
			f.b.Store(p, int64((i+1)*word), word, w)
		}
		if watch.kind == Watchpoint {
			f.b.Call(fnSignal, compile.Word, f.constant(sigStop))
		}
	})
}

// unwatch builds unwatch(), which the reader of the ring does.
func (f *lowering) unwatch(call *syntax.Call) value {
	f.emit(Action{Kind: Unwatch}, noWakeup, item{x: call.Args[0], typ: uint64Type})
	return value{}
}

func (c *checker) unwatch(call *syntax.Call) Type {
	c.number(call.Args[0])
	return noType
}
