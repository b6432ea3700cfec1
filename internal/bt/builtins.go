// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"slices"
	"strings"

	"github.com/skep-io/skep/internal/bt/syntax"
)

// builtin is a word of the language that has a value.
type builtin struct {
	name string
	doc  string
	// kinds of probes that have it; nil for all.
	kinds []ProbeKind
	// later is one that the language got later: an enumerator of a script's own goes before.
	later bool
	// helper of the kernel that it needs, or 0.
	helper int64
	check  func(c *checker, x *syntax.Name) Type
	lower  func(f *lowering, x *syntax.Name) value
}

func fixed(t Type) func(*checker, *syntax.Name) Type {
	return func(*checker, *syntax.Name) Type { return t }
}

// builtinTable is made once for a script: tables that name functions that look into them
// cannot be variables.
func builtinTable() map[string]*builtin {
	table := map[string]*builtin{}
	for _, b := range slices.Concat(taskBuiltins(), identityBuiltins(), machineBuiltins(), probeBuiltins()) {
		table[b.name] = b
	}
	return table
}

func taskBuiltins() []*builtin {
	return []*builtin{
		{name: "pid", doc: "identifier of the process", check: fixed(uint32Type), lower: (*lowering).pid},
		{name: "tid", doc: "identifier of the thread", check: fixed(uint32Type), lower: (*lowering).tid},
		{name: "uid", doc: "user of the thread", check: fixed(uint64Type), lower: (*lowering).uid},
		{name: "gid", doc: "group of the thread", check: fixed(uint64Type), lower: (*lowering).gid},
		{name: "username", doc: "name of the user", check: fixed(Type{Kind: UserName, Size: word}), lower: (*lowering).username},
		{name: "comm", doc: "name of the thread", check: fixed(stringType(16)), lower: (*lowering).comm},
		{name: "cgroup", doc: "identifier of the cgroup", check: fixed(uint64Type), lower: helperWord(fnCgroupID)},
		{name: "curtask", doc: "the kernel's task_struct", check: (*checker).curtask, lower: (*lowering).curtask},
		{name: "kstack", doc: "stack in the kernel", check: stackBuiltin(KStack), lower: (*lowering).stackName},
		{name: "ustack", doc: "stack in the process", check: stackBuiltin(UStack), lower: (*lowering).stackName},
	}
}

func machineBuiltins() []*builtin {
	return []*builtin{
		{name: "nsecs", doc: "nanoseconds since boot", check: fixed(uint64Type), lower: (*lowering).now},
		{name: "elapsed", doc: "nanoseconds since the script began", check: fixed(uint64Type), lower: (*lowering).elapsed},
		{name: "cpu", doc: "number of the processor", check: fixed(uint32Type), lower: helperWord(fnProcessor)},
		{name: "ncpus", doc: "how many processors there can be", check: fixed(uint64Type), lower: (*lowering).processors},
		{name: "numaid", doc: "number of the memory node", check: fixed(uint32Type), lower: helperWord(fnNuma)},
		{name: "rand", doc: "a random number", check: fixed(uint32Type), lower: (*lowering).random},
		{name: "jiffies", doc: "ticks of the kernel", check: fixed(uint64Type), helper: fnJiffies, lower: helperWord(fnJiffies)},
		{name: "cpid", doc: "process of the command that was started with the script", check: (*checker).childPID, lower: (*lowering).childPID},
	}
}

func probeBuiltins() []*builtin {
	functions := []ProbeKind{Kprobe, Kretprobe, Uprobe, Uretprobe, Fentry, Fexit, USDT}
	withArgs := []ProbeKind{Tracepoint, RawTracepoint, Fentry, Fexit, Kprobe, Uprobe, Iterator}
	return []*builtin{
		{name: "probe", doc: "name of the probe", check: (*checker).probeName, lower: (*lowering).probeName},
		{name: "func", doc: "the function that is probed", kinds: functions, check: (*checker).function, lower: (*lowering).functionName},
		{name: "retval", doc: "what the function returned", kinds: []ProbeKind{Kretprobe, Uretprobe, Fexit},
			check: func(c *checker, _ *syntax.Name) Type { return c.returned() }, lower: (*lowering).returned},
		{name: "args", doc: "the arguments by name", kinds: withArgs, check: (*checker).allArgs, lower: (*lowering).allArgs},
		{name: "probetype", later: true, doc: "what kind of probe it is", check: fixed(stringType(16)), lower: (*lowering).probeType},
		{name: "usermode", later: true, doc: "1 in the code of a process, 0 in the kernel", check: (*checker).userMode, lower: (*lowering).userMode},
		{name: "ctx", doc: "what the program gets from the kernel", check: (*checker).context, lower: (*lowering).contextWord},
	}
}

// builtinNamed is a builtin by its name, which later versions of the language also write
// with __builtin_ in front.
func (s *script) builtinNamed(name string) *builtin {
	b := s.builtins[strings.TrimPrefix(name, "__builtin_")]
	if b != nil && b.later && s.definesConstant(name) {
		return nil
	}
	return b
}

func (c *checker) name(x *syntax.Name) Type {
	if b := c.builtinNamed(x.Name); b != nil {
		return c.builtin(b, x)
	}
	if prefix, number, ok := isArgument(x.Name); ok {
		return c.numbered(x, prefix, number)
	}
	if value, enum, ok := c.host.EnumValue(x.Name); ok {
		c.unit.constants[x] = value
		t := int64Type
		t.Name = enum
		return t
	}
	known := sortedNames(c.builtins)
	return c.hintf(x.Pos, nearest(x.Name, known), "%s is neither a builtin nor a constant of the kernel", x.Name)
}

func (c *checker) builtin(b *builtin, x *syntax.Name) Type {
	if !c.allowed(b.kinds) {
		return c.errorf(x.Pos, "%s is not there in %s", x.Name, c.where())
	}
	if b.helper != 0 && !c.host.Helper(b.helper, c.unit.kind) {
		return c.errorf(x.Pos, "%s needs a helper that this kernel does not have", x.Name)
	}
	return b.check(c, x)
}

// allowed tells whether the unit is of one of the kinds. Functions may be called from any.
func (c *checker) allowed(kinds []ProbeKind) bool {
	if c.unit.fn != nil {
		return kinds == nil
	}
	return kinds == nil || slices.Contains(kinds, c.unit.asked())
}

// where is the unit, for messages.
func (c *checker) where() string {
	if c.unit.fn != nil {
		return "a function"
	}
	return "a probe of type " + kindName(c.unit.asked())
}

// argumentsInRegisters is how many arguments a function gets in registers.
func argumentsInRegisters(arch string) int {
	if arch == "arm64" {
		return 8
	}
	return 6
}

// numbered checks arg0 ... and sarg0 ...
func (c *checker) numbered(x *syntax.Name, prefix string, number int) Type {
	kinds := []ProbeKind{Kprobe, Uprobe, USDT, RawTracepoint, Watchpoint, AsyncWatchpoint}
	if prefix == "sarg" {
		kinds = []ProbeKind{Kprobe, Uprobe}
	}
	if !c.allowed(kinds) {
		return c.errorf(x.Pos, "%s is not there in %s", x.Name, c.where())
	}
	if c.unit.stand != nil {
		return c.standArgument(x, prefix, number)
	}
	t := Type{Kind: Integer, Size: word, Signed: true, User: c.userSpace()}
	switch c.unit.kind {
	case USDT:
		return c.usdtArgument(x, number)
	case Kprobe, Uprobe, Watchpoint, AsyncWatchpoint:
		if most := argumentsInRegisters(c.machine.Arch); prefix == "arg" && number >= most {
			return c.hintf(x.Pos, "write sarg"+itoa(number-most)+" for one on the stack",
				"%s: only arg0 to arg%d are in registers", x.Name, most-1)
		}
	}
	return t
}

func (c *checker) usdtArgument(x *syntax.Name, number int) Type {
	c.unit.particular = true
	operands, ok := c.host.Arguments(c.unit.targets[0])
	if !ok || number >= len(operands) {
		return c.errorf(x.Pos, "%s has %d arguments, so no %s", c.unit.targets[0].Name, len(operands), x.Name)
	}
	return Type{Kind: Integer, Size: word, Signed: operands[number].Signed, User: true}
}

func (c *checker) curtask(*syntax.Name) Type {
	if t, ok := c.host.Type("struct task_struct"); ok {
		return pointerTo(t)
	}
	return uint64Type
}

// userMode: what interrupts a process has its registers.
func (c *checker) userMode(x *syntax.Name) Type {
	if c.machine.Arch != "amd64" {
		return c.errorf(x.Pos, "usermode is only there on amd64")
	}
	return Type{Kind: Integer, Size: 1}
}

func (c *checker) childPID(x *syntax.Name) Type {
	if !c.options.HasChild {
		return c.errorf(x.Pos, "cpid is that of a command started with the script, and there is none (option -c)")
	}
	return uint32Type
}

func (c *checker) probeName(*syntax.Name) Type {
	c.unit.named = true
	if len(c.unit.targets) > 1 && !c.machine.Cookies[c.unit.kind] {
		c.unit.particular = true
	}
	return Type{Kind: ProbeName, Size: word}
}

// functionOnly is Type.Name of the function alone among the names of probes.
const functionOnly = "func"

// function is what the symbol at the address says, or, of a process, which may be gone when
// that is asked, what the probe does.
func (c *checker) function(x *syntax.Name) Type {
	if !c.userSpace() {
		return Type{Kind: KSymbol, Size: word}
	}
	for _, t := range c.unit.targets {
		if t.Function == "" || t.Language != "" {
			return Type{Kind: USymbol, Size: 2 * word}
		}
	}
	t := c.probeName(x)
	t.Name = functionOnly
	return t
}

// nameOf is what a value of Kind ProbeName says of the unit's first target.
func (u *unit) nameOf(t Type) string {
	if t.Name == functionOnly {
		return u.targets[0].Function
	}
	return u.targets[0].Name
}

// context is that of the kernel; of an iterator it is a structure of what it goes over.
func (c *checker) context(x *syntax.Name) Type {
	if c.unit.kind == Iterator {
		return c.allArgs(x)
	}
	if c.unit.stand != nil {
		return c.notThere(x.Pos, "ctx")
	}
	return Type{Kind: Pointer, Size: word}
}

func (c *checker) allArgs(x *syntax.Name) Type {
	c.arguments()
	if !c.unit.argsOK && len(c.unit.targets) > 0 {
		return c.errorf(x.Pos, "the arguments of %s are not known by name", c.unit.targets[0].Name)
	}
	return Type{Kind: Record, Name: argsRecord}
}
