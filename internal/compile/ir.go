// SPDX-License-Identifier: Apache-2.0

package compile

// Pos is a place in the user's text, for errors and for what the verifier says: line and
// column count from 1, and are 0 where there is none.
type Pos struct{ Line, Column int }

// Type is what the verifier must know of a value. Words have no signedness: operations do.
type Type uint8

// The types.
const (
	Void             Type = iota // of what has no result
	Word                         // 64 bits
	Context                      // pointer to the program's context
	Stack                        // pointer into the frame
	Map                          // a map, for helpers that take one
	MapValue                     // pointer to a value in a map
	NullableMapValue             // the same or 0: what a lookup returns; see Builder.NonNull
	Memory                       // pointer to memory that a helper gave, such as a ring's
	NullableMemory               // the same or 0
	Packet                       // pointer into a packet; bounded by comparison with PacketEnd
	PacketEnd                    // behind the last byte of a packet
	Kernel                       // pointer to a kernel object, which the verifier follows by BTF
	Function                     // a function of this program, for helpers that call back
)

// IsPointer tells whether memory can be read through a value of this type.
func (t Type) IsPointer() bool { return t > Word && t != Map && t != PacketEnd && t != Function }

// nonNull is the type of a value that was compared with 0.
func (t Type) nonNull() Type {
	switch t {
	case NullableMapValue:
		return MapValue
	case NullableMemory:
		return Memory
	}
	return t
}

// Op is what a value is made by.
type Op uint8

// The operations. Operands are in Args, in the order given here.
const (
	Invalid Op = iota

	Const     // Imm
	Parameter // number Imm of the function; of an entry, 0 is the context
	Phi       // one operand for each predecessor of its block, in their order
	NonNull   // of a nullable pointer, in a block that only a comparison with 0 leads to

	Add // words, or a pointer and a word
	Sub // words, or two pointers of one type
	Mul
	UDiv // x/0 is 0
	UMod // x%0 is x
	SDiv // towards 0; x/0 is 0; the smallest by -1 is itself
	SMod // has the sign of x; x%0 is x
	And
	Or
	Xor
	Shl // counts modulo 64
	LShr
	AShr
	ZeroExtend // the lowest Width bytes
	SignExtend
	Swap // the lowest Width bytes reversed, the rest 0

	// Comparisons give 1 or 0. Pointers compare by Equal and NotEqual with constant 0 and
	// with each other, a Packet with PacketEnd by all.
	Equal
	NotEqual
	ULess
	ULessEqual
	SLess
	SLessEqual

	Slot      // Imm bytes of the frame, aligned to 8; holds nothing defined at first
	MapOf     // map named Symbol
	ValueOf   // address Imm bytes into the only value of the array map named Symbol
	FuncOf    // function named Symbol
	Load      // Width bytes at Args[0]+Imm, zero-extended or, if Signed, sign-extended
	LoadPtr   // pointer of type Type at Args[0]+Imm, of 8 bytes; of a packet in a context, of 4
	Store     // Width lowest bytes of Args[1] at Args[0]+Imm
	Zero      // sets Width bytes at Args[0]+Imm to 0; any Width
	Copy      // copies Width bytes from Args[1] to Args[0]+Imm; any Width; they do not overlap
	AtomicAdd // adds Args[1] to the Width (4 or 8) bytes at Args[0]+Imm
	Call      // helper number Imm; at most five operands. Of an int only the lowest 4 bytes are sure
	CallFunc  // function named Symbol; at most five operands, words or pointers to the frame or a map value
	TailCall  // context, map of programs, index; goes on behind it if there is no program
)

// Value is one operation and its result.
type Value struct {
	ID     int // unique in the function, dense
	Op     Op
	Type   Type
	Args   []*Value
	Imm    int64
	Width  int
	Signed bool
	Symbol string
	Block  *Block
	Pos    Pos
}

// Exit is how a block ends.
type Exit uint8

// The exits.
const (
	None   Exit = iota // is not finished
	Jump               // to Succs[0]
	Branch             // to Succs[0] if Control is not 0, else to Succs[1]
	Return             // with Control
)

// Block is a run of values without a way in or out between them. Phis come first.
type Block struct {
	ID      int
	Values  []*Value
	Exit    Exit
	Control *Value
	Succs   []*Block
	Preds   []*Block
	// Unlikely blocks are laid out behind the others.
	Unlikely bool
	Pos      Pos

	sealed     bool
	incomplete []pending // phis that wait for Seal
}

type pending struct {
	variable Variable
	phi      *Value
}

// Func is a function. Blocks[0] is its entry, which has no predecessor.
type Func struct {
	Name   string
	Params []Type
	// Result is Word, or Void: then 0 is returned.
	Result Type
	Blocks []*Block

	values int // IDs given
}

// Program is an entry and the functions that it calls or gives to helpers. Functions do not
// recurse.
type Program struct {
	Funcs []*Func // the entry first
	Maps  map[string]MapShape
}

// MapShape is what compiler and evaluator must know of a map.
type MapShape struct {
	KeySize, ValueSize int
	PerCPU             bool
}
