// SPDX-License-Identifier: Apache-2.0

package compile

// opNames are how operations read in the text form.
var opNames = [...]string{
	Invalid: "invalid", Const: "const", Parameter: "parameter", Phi: "phi", NonNull: "nonnull",
	Add: "add", Sub: "sub", Mul: "mul", UDiv: "udiv", UMod: "umod", SDiv: "sdiv", SMod: "smod",
	And: "and", Or: "or", Xor: "xor", Shl: "shl", LShr: "lshr", AShr: "ashr",
	ZeroExtend: "zext", SignExtend: "sext", Swap: "swap",
	Equal: "eq", NotEqual: "ne", ULess: "ult", ULessEqual: "ule", SLess: "slt", SLessEqual: "sle",
	Slot: "slot", MapOf: "map", ValueOf: "valueof", FuncOf: "func", Load: "load", LoadPtr: "loadptr",
	Store: "store", Zero: "zero", Copy: "copy", AtomicAdd: "atomicadd",
	Call: "call", CallFunc: "callfunc", TailCall: "tailcall",
}

func (op Op) String() string {
	if int(op) < len(opNames) {
		return opNames[op]
	}
	return "invalid"
}

var typeNames = [...]string{
	Void: "void", Word: "word", Context: "context", Stack: "stack", Map: "map",
	MapValue: "mapvalue", NullableMapValue: "mapvalue?", Memory: "memory", NullableMemory: "memory?",
	Packet: "packet", PacketEnd: "packetend", Kernel: "kernel", Function: "function",
}

func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "invalid"
}

// isBinary tells whether an operation is arithmetic of two operands.
func (op Op) isBinary() bool { return op >= Add && op <= AShr }

// isCompare tells whether an operation is a comparison.
func (op Op) isCompare() bool { return op >= Equal && op <= SLessEqual }

// isUnary tells whether an operation is arithmetic of one operand.
func (op Op) isUnary() bool { return op >= ZeroExtend && op <= Swap }

// isCommutative tells whether the operands may be exchanged.
func (op Op) isCommutative() bool {
	switch op {
	case Add, Mul, And, Or, Xor, Equal, NotEqual:
		return true
	}
	return false
}

// isPure tells whether a value depends on its operands alone and does nothing else, so
// that it may be dropped, and shared with an equal one that dominates it. A Slot is not:
// each is another place.
func (op Op) isPure() bool {
	switch op {
	case Const, Parameter, NonNull, MapOf, ValueOf, FuncOf:
		return true
	}
	return op.isBinary() || op.isUnary() || op.isCompare()
}

// isDroppable tells whether a value that nothing uses can be left out. Loads can: what
// they would have read is not missed.
func (op Op) isDroppable() bool {
	return op.isPure() || op == Phi || op == Slot || op == Load || op == LoadPtr
}

// negated is the comparison that holds where this one does not, and whether its operands
// change places.
func (op Op) negated() (Op, bool) {
	switch op {
	case Equal:
		return NotEqual, false
	case NotEqual:
		return Equal, false
	case ULess:
		return ULessEqual, true
	case ULessEqual:
		return ULess, true
	case SLess:
		return SLessEqual, true
	case SLessEqual:
		return SLess, true
	}
	return Invalid, false
}
