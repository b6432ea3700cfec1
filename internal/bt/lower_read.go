// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// at says which expression is built, until what it returns is called.
func (f *lowering) at(x syntax.Expr) func() {
	outer := f.where
	f.where = x.Position()
	if field, ok := x.(*syntax.Field); ok {
		f.where = field.Start.Pos
	}
	return func() { f.where = outer }
}

// readHelper reads memory of a space, or a text in it.
func (f *lowering) readHelper(s space, text bool) int64 {
	helpers := map[space][2]int64{
		inKernel: {fnReadKernel, fnReadKernelStr}, inUser: {fnReadUser, fnReadUserStr},
		anywhere: {fnRead, fnReadStr},
	}
	pair, ok := helpers[s]
	if !ok || s == anywhere && !f.host.Helper(fnRead, f.unit.kind) {
		pair = helpers[inKernel]
	}
	if text {
		return pair[1]
	}
	return pair[0]
}

// read reads so many bytes of a space, or a text of at most as many.
func (f *lowering) read(s space, text bool, to, size, from *compile.Value) {
	helper := f.readHelper(s, text)
	f.checked(helper, f.b.Call(helper, compile.Word, to, size, from))
}

// checked tells of a helper that has failed, if that is wanted.
func (f *lowering) checked(helper int64, result *compile.Value) {
	if f.options.HelperErrors {
		f.b.If(f.b.Binary(compile.SLess, result, f.constant(0)), func() { f.tellFailed(helper, result) }, nil)
	}
}

func (f *lowering) tellFailed(helper int64, result *compile.Value) {
	f.emit(Action{Kind: HelperError, Helper: checkedHelpers()[helper], Pos: f.where}, noWakeup, item{word: result, typ: int64Type})
}
