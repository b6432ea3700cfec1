// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// probeName is an index in Script.ProbeNames: of the only target, or the program's cookie.
// Where it is compared with a text it is one.
func (f *lowering) probeName(x *syntax.Name) value {
	if t := f.typeOf(x); t.Kind == String {
		p := f.memory(t.stored())
		f.putText(p, t.stored(), f.unit.nameOf(t))
		return value{typ: t, at: p}
	}
	if len(f.unit.targets) > 1 {
		return value{word: f.b.Call(fnCookie, compile.Word, f.ctx)}
	}
	return value{word: f.constant(int64(f.unit.firstName))}
}

// probeType calls what runs by nothing that happens special.
func (f *lowering) probeType(x *syntax.Name) value {
	kind := kindName(f.unit.asked())
	if f.unit.asked() <= Self {
		kind = "special"
	}
	t := f.typeOf(x)
	p := f.memory(t.stored())
	f.putText(p, t.stored(), kind)
	return value{typ: t, at: p}
}

// userMode is, where the program is told what was interrupted, the privilege level in that
// segment; elsewhere it goes without saying.
func (f *lowering) userMode(*syntax.Name) value {
	switch f.unit.kind {
	case Begin, End, Self, Uprobe, Uretprobe, USDT:
		return value{word: f.constant(1)}
	case Profile, Software, Hardware, Interval:
		level := f.b.Binary(compile.And, f.registerWord("cs"), f.constant(3))
		return value{word: f.b.Binary(compile.LShr, level, f.constant(1))}
	}
	return value{word: f.constant(0)}
}

func (f *lowering) functionName(x *syntax.Name) value {
	if t := f.typeOf(x); t.Kind == ProbeName || t.Kind == String {
		return f.probeName(x)
	}
	var address *compile.Value
	if f.unit.row() != nil {
		known, _ := f.host.KernelSymbol(f.unit.stand.row.Function)
		return value{word: f.constant(int64(known))}
	}
	if f.unit.kind == Fentry || f.unit.kind == Fexit || f.host.Helper(fnFuncIP, f.unit.kind) && !f.unit.userSpace() {
		address = f.b.Call(fnFuncIP, compile.Word, f.ctx)
	} else {
		address = f.registerWord(instructionRegister(f.machine.Arch))
	}
	if f.unit.userSpace() {
		return f.ownedAddress(Type{Kind: USymbol, Size: 2 * word}, address)
	}
	return value{word: address}
}
