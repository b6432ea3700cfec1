// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/vm"
)

// compute is the result of every operation but phis and tail calls.
func (fr *frame) compute(v *compile.Value, args []vm.Value) (vm.Value, error) {
	switch v.Op {
	case compile.Const:
		return vm.Number(uint64(v.Imm)), nil
	case compile.Parameter:
		return fr.args[v.Imm], nil
	case compile.NonNull:
		if args[0].Number == 0 {
			return vm.Value{}, errors.New("the pointer is 0")
		}
		return args[0], nil
	case compile.Slot, compile.MapOf, compile.ValueOf, compile.FuncOf:
		return fr.address(v)
	case compile.Load, compile.LoadPtr, compile.Store, compile.Zero, compile.Copy, compile.AtomicAdd:
		args[0].Number += uint64(v.Imm)
		return fr.memory(v, args)
	case compile.Call:
		return fr.m.Helper(v.Imm, args, fr.callback)
	case compile.CallFunc:
		return fr.evaluator.call(fr.funcs[v.Symbol], args)
	case compile.ZeroExtend, compile.SignExtend, compile.Swap:
		return vm.Number(unary(v.Op, args[0].Number, 8*v.Width)), nil
	}
	if len(args) != 2 {
		return vm.Value{}, errors.New("there is no such operation")
	}
	if args[0].Region != nil || args[1].Region != nil {
		if n, ok, err := pointers(v.Op, args[0], args[1]); ok || err != nil {
			return n, err
		}
	}
	n, err := binary(v.Op, args[0].Number, args[1].Number)
	return vm.Number(n), err
}

// address makes what values of the program refer to.
func (fr *frame) address(v *compile.Value) (vm.Value, error) {
	switch v.Op {
	case compile.MapOf:
		return fr.m.MapOf(v.Symbol)
	case compile.ValueOf:
		return fr.m.ValueOf(v.Symbol, v.Imm)
	case compile.FuncOf:
		at, known := fr.references[v.Symbol]
		if !known {
			at = fr.m.Reference(vm.FuncRef, v.Symbol, fr.funcs[v.Symbol])
			fr.references[v.Symbol] = at
		}
		return at, nil
	}
	if before := fr.slots[v]; before != nil {
		before.Kill("the slot was made anew")
	}
	slot := fr.m.Frame(fmt.Sprintf("slot v%d", v.ID), int(v.Imm))
	fr.slots[v] = slot
	return vm.Pointer(slot, 0), nil
}

func (fr *frame) callback(_ *vm.Machine, fn vm.Value, args ...vm.Value) (vm.Value, error) {
	if fn.Region != nil {
		if f, ok := fn.Region.Of.(*compile.Func); ok {
			return fr.evaluator.call(f, args)
		}
	}
	return vm.Value{}, fmt.Errorf("%s is no function of this program", fn)
}

// memory is operations at args[0], to which the offset has been added.
func (fr *frame) memory(v *compile.Value, args []vm.Value) (vm.Value, error) {
	switch v.Op {
	case compile.Load, compile.LoadPtr:
		got, err := fr.m.ReadWord(args[0], v.Width)
		if err == nil && v.Signed {
			got = vm.Number(unary(compile.SignExtend, got.Number, 8*v.Width))
		}
		return got, err
	case compile.Store:
		return vm.Value{}, fr.m.WriteWord(args[0], v.Width, args[1])
	case compile.Zero:
		return vm.Value{}, args[0].Write(make([]byte, v.Width))
	case compile.Copy:
		b, err := args[1].Bytes(v.Width)
		if err != nil {
			return vm.Value{}, err
		}
		if distance := args[0].Number - args[1].Number; distance < uint64(v.Width) || -distance < uint64(v.Width) {
			return vm.Value{}, errors.New("what is copied and where to overlap")
		}
		return vm.Value{}, args[0].Write(b)
	}
	old, err := fr.m.ReadWord(args[0], v.Width)
	if err != nil {
		return vm.Value{}, err
	}
	return vm.Value{}, fr.m.WriteWord(args[0], v.Width, vm.Number(old.Number+args[1].Number))
}

// pointers is what can be done with one or two pointers but comparisons, of which their
// addresses are enough.
func pointers(op compile.Op, a, b vm.Value) (result vm.Value, ok bool, err error) {
	switch {
	case op >= compile.Equal && op <= compile.SLessEqual:
		return vm.Value{}, false, nil
	case op == compile.Add && b.Region == nil:
		return vm.Value{Number: a.Number + b.Number, Region: a.Region}, true, nil
	case op == compile.Sub && b.Region == nil:
		return vm.Value{Number: a.Number - b.Number, Region: a.Region}, true, nil
	case op == compile.Sub && a.Region == b.Region:
		return vm.Number(a.Number - b.Number), true, nil
	}
	return vm.Value{}, true, fmt.Errorf("it computes with %s and %s", a, b)
}

// unary is an operation on the lowest bits of a number.
func unary(op compile.Op, n uint64, width int) uint64 {
	n &= 1<<width - 1
	switch {
	case op == compile.Swap:
		return bits.ReverseBytes64(n << (64 - width))
	case op == compile.SignExtend && n>>(width-1) == 1:
		return n | ^uint64(0)<<width
	}
	return n
}

func truth(b bool) (uint64, error) {
	if b {
		return 1, nil
	}
	return 0, nil
}

// binary is arithmetic and comparisons of numbers.
func binary(op compile.Op, a, b uint64) (uint64, error) {
	switch op {
	case compile.Add:
		return a + b, nil
	case compile.Sub:
		return a - b, nil
	case compile.Mul:
		return a * b, nil
	case compile.UDiv, compile.UMod, compile.SDiv, compile.SMod:
		return divide(op, a, b), nil
	case compile.And:
		return a & b, nil
	case compile.Or:
		return a | b, nil
	case compile.Xor:
		return a ^ b, nil
	case compile.Shl:
		return a << (b % 64), nil
	case compile.LShr:
		return a >> (b % 64), nil
	case compile.AShr:
		return uint64(int64(a) >> (b % 64)), nil
	case compile.Equal:
		return truth(a == b)
	case compile.NotEqual:
		return truth(a != b)
	case compile.ULess:
		return truth(a < b)
	case compile.ULessEqual:
		return truth(a <= b)
	case compile.SLess:
		return truth(int64(a) < int64(b))
	case compile.SLessEqual:
		return truth(int64(a) <= int64(b))
	}
	return 0, errors.New("there is no such operation")
}

func divide(op compile.Op, a, b uint64) uint64 {
	quotient, remainder := uint64(0), a
	switch {
	case b == 0:
	case op == compile.UDiv || op == compile.UMod:
		quotient, remainder = a/b, a%b
	default:
		quotient, remainder = uint64(int64(a)/int64(b)), uint64(int64(a)%int64(b))
	}
	if op == compile.UDiv || op == compile.SDiv {
		return quotient
	}
	return remainder
}
