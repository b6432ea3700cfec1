// SPDX-License-Identifier: Apache-2.0

package compile_test

import (
	"fmt"

	"github.com/skep-io/skep/internal/compile"
)

// The text form: maps, then functions. A block says where it is come from; a value is its
// name, its operation with the width in bytes, its operands, and its type unless that is
// a word.
func ExampleProgram_String() {
	b := compile.NewBuilder("entry", compile.Word, compile.Context)
	x := b.Load(b.Parameter(0), 8, 4, true)
	v := b.NewVariable(compile.Word)
	b.Write(v, x)
	b.If(b.Binary(compile.SLess, x, b.Const(0)), func() { b.Write(v, b.Const(0)) }, nil)
	b.Return(b.Read(v))
	p := &compile.Program{
		Funcs: []*compile.Func{b.Func},
		Maps:  map[string]compile.MapShape{"counts": {KeySize: 8, ValueSize: 8, PerCPU: true}},
	}
	fmt.Print(p)
	// Output:
	// map counts key 8 value 8 percpu
	//
	// func entry(context) word {
	// b0:
	// 	v0 = parameter 0 : context
	// 	v1 = loads.4 v0+8
	// 	v2 = const 0
	// 	v3 = slt v1 v2
	// 	branch v3 b1 b2
	// b1: <- b0
	// 	v4 = const 0
	// 	jump b3
	// b2: <- b0
	// 	jump b3
	// b3: <- b1 b2
	// 	v5 = phi v4 v1
	// 	return v5
	// }
}

func ExampleCode_String() {
	b := compile.NewBuilder("entry", compile.Word, compile.Context)
	b.Pos = compile.Pos{Line: 3, Column: 9}
	b.Return(b.Binary(compile.LShr, b.Call(14, compile.Word), b.Const(32)))
	code, err := compile.Compile(&compile.Program{Funcs: []*compile.Func{b.Func}}, compile.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(code)
	// Output:
	// entry:
	// ; line 3
	//    0: call FnGetCurrentPidTgid
	//    1: r0 >>= 32
	//    2: exit
}
