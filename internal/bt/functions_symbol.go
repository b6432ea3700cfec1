// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// symbolFunctions look up names, now or when a value is shown.
func symbolFunctions() []*function {
	return []*function{
		{name: "kstack", signature: "kstack_t kstack([mode,] [int frames])", doc: "stack in the kernel",
			least: 0, most: 2, check: stackCall(KStack), lower: (*lowering).stackCall},
		{name: "ustack", signature: "ustack_t ustack([mode,] [int frames])", doc: "stack in the process",
			least: 0, most: 2, check: stackCall(UStack), lower: (*lowering).stackCall},
		{name: "ksym", signature: "ksym_t ksym(uint64 address)", doc: "names a function of the kernel",
			least: 1, most: 1, check: numberTo(Type{Kind: KSymbol, Size: word}), lower: (*lowering).relabel},
		{name: "usym", signature: "usym_t usym(uint64 address)", doc: "names a function of the process",
			least: 1, most: 1, check: numberTo(Type{Kind: USymbol, Size: 2 * word}), lower: (*lowering).usym},
		{name: "kaddr", signature: "uint64 kaddr(const string name)", doc: "address of a symbol of the kernel",
			least: 1, most: 1, check: (*checker).kaddr, lower: (*lowering).constantCall},
		{name: "uaddr", signature: "uint64 *uaddr(const string name)", doc: "address of a symbol of the binary",
			least: 1, most: 1, kinds: []ProbeKind{Uprobe, Uretprobe, USDT}, check: (*checker).uaddr, lower: (*lowering).uaddr},
		{name: "cgroupid", signature: "uint64 cgroupid(const string path)", doc: "identifier of a cgroup",
			least: 1, most: 1, check: (*checker).cgroupID, lower: (*lowering).constantCall},
		{name: "cgroup_path", signature: "cgroup_path_t cgroup_path(int id[, const string filter])", doc: "path of a cgroup",
			least: 1, most: 2, check: (*checker).cgroupPath, lower: (*lowering).relabel},
		{name: "reg", signature: "uint64 reg(const string name)", doc: "reads a register",
			least: 1, most: 1, kinds: []ProbeKind{Kprobe, Kretprobe, Uprobe, Uretprobe, USDT, Profile, Software, Hardware, Watchpoint, AsyncWatchpoint},
			check: (*checker).register, lower: (*lowering).register},
		{name: "nsecs", signature: "uint64 nsecs([clock])", doc: "nanoseconds by a clock: boot, monotonic, tai",
			least: 0, most: 1, check: (*checker).clock, lower: (*lowering).clock},
		{name: "percpu_kaddr", signature: "void *percpu_kaddr(const string name[, int cpu])", doc: "address of a processor's symbol",
			least: 1, most: 2, check: (*checker).percpuAddress, lower: (*lowering).percpuAddress},
	}
}

// Frames of a stack: what is usual, and the most that the kernel takes by default
// (kernel.perf_event_max_stack).
const mostFrames = 127

func (c *checker) stackType(kind Kind, mode string, frames int) Type {
	size := word
	if kind == UStack {
		size = 2 * word
	}
	t := Type{Kind: kind, Size: size, Name: stackMap(frames), Depth: frames, Perf: mode == "perf"}
	t.Raw = mode == "raw"
	return t
}

func stackMap(frames int) string { return "stacks " + itoa(frames) }

func stackBuiltin(kind Kind) func(*checker, *syntax.Name) Type {
	return func(c *checker, x *syntax.Name) Type {
		if c.unit.fn != nil {
			return c.noStack(x.Pos)
		}
		return c.stackType(kind, c.limits.StackMode, mostFrames)
	}
}

func stackCall(kind Kind) func(*checker, *syntax.Call) Type {
	return func(c *checker, call *syntax.Call) Type {
		if c.unit.fn != nil {
			return c.noStack(call.Pos)
		}
		mode, frames := c.limits.StackMode, mostFrames
		for i, arg := range call.Args {
			if n, ok := arg.(*syntax.Name); ok && i == 0 && stackMode(n.Name) {
				mode = n.Name
				continue
			}
			frames = int(c.constantArg(arg, "the number of frames", 1, 1024))
		}
		return c.stackType(kind, mode, min(1024, max(1, frames)))
	}
}

// noStack says why a function has none: the kernel takes it from what a probe gets.
func (c *checker) noStack(at compile.Pos) Type {
	return c.errorf(at, "a stack cannot be taken in a function, only in a probe")
}

func stackMode(name string) bool { return name == "bpftrace" || name == "perf" || name == "raw" }

func (c *checker) kaddr(call *syntax.Call) Type {
	name, ok := c.text(call.Args[0], "the name of the symbol")
	if !ok {
		return noType
	}
	address, found := c.host.KernelSymbol(name)
	if !found {
		c.problem(Diagnostic{Pos: call.Args[0].Position(), Text: "the kernel has no symbol " + name,
			Reference: "ERROR: Failed to compile: Failed to resolve kernel symbol: " + name})
		return noType
	}
	c.unit.constants[call] = int64(address)
	return uint64Type
}

func (c *checker) uaddr(call *syntax.Call) Type {
	name, ok := c.text(call.Args[0], "the name of the symbol")
	if !ok || len(c.unit.targets) == 0 {
		return noType
	}
	binary := c.unit.targets[0].Binary
	address, size, found := c.host.UserSymbol(binary, name)
	if !found {
		return c.errorf(call.Args[0].Position(), "%s has no symbol %s", binary, name)
	}
	if size != 1 && size != 2 && size != 4 {
		size = word
	}
	c.unit.constants[call] = int64(address)
	c.unit.particular = true // it is found by the distance to the place of the probe
	t := pointerTo(Type{Kind: Integer, Size: int(size)})
	t.User = true
	return t
}

func (c *checker) cgroupID(call *syntax.Call) Type {
	path, ok := c.text(call.Args[0], "the path of the cgroup")
	if !ok {
		return noType
	}
	id, found := c.host.CgroupID(path)
	if !found {
		return c.errorf(call.Args[0].Position(), "there is no cgroup %s", path)
	}
	c.unit.constants[call] = int64(id)
	return uint64Type
}

func (c *checker) cgroupPath(call *syntax.Call) Type {
	c.number(call.Args[0])
	filter := ""
	if len(call.Args) == 2 {
		filter, _ = c.text(call.Args[1], "the filter of cgroup_path()")
	}
	return Type{Kind: CgroupPath, Size: word, Name: filter}
}

func (c *checker) register(call *syntax.Call) Type {
	name, ok := c.text(call.Args[0], "the name of the register")
	if !ok {
		return noType
	}
	if c.unit.stand != nil {
		return c.notThere(call.Pos, "reg()")
	}
	if _, found := registerOffset(c.machine.Arch, name); !found {
		return c.hintf(call.Args[0].Position(), nearest(name, registerNames(c.machine.Arch)), "there is no register %s", name)
	}
	return Type{Kind: Integer, Size: word, User: c.userSpace()}
}

// clocks are the helpers of nsecs(clock).
func clocks() map[string]int64 {
	return map[string]int64{"boot": fnBootTime, "monotonic": fnTime, "tai": fnTAI, "sw_tai": fnTAI}
}

func (c *checker) clock(call *syntax.Call) Type {
	if len(call.Args) == 0 {
		return uint64Type
	}
	name, ok := call.Args[0].(*syntax.Name)
	if !ok {
		return c.errorf(call.Args[0].Position(), "nsecs() wants the name of a clock: boot, monotonic or tai")
	}
	helper, known := clocks()[name.Name]
	switch {
	case !known:
		return c.hintf(name.Pos, nearest(name.Name, sortedNames(clocks())), "there is no clock %s", name.Name)
	case c.unit.fn == nil && !c.host.Helper(helper, c.unit.kind):
		return c.errorf(name.Pos, "this kernel cannot read the clock %s", name.Name)
	}
	return uint64Type
}

// perCPUOffsets is the kernel's array of what to add to a symbol for each processor.
const perCPUOffsets = "__per_cpu_offset"

func (c *checker) percpuAddress(call *syntax.Call) Type {
	if len(call.Args) == 2 {
		c.number(call.Args[1])
	}
	name, ok := c.text(call.Args[0], "the name of the symbol")
	if !ok {
		return noType
	}
	address, found := c.host.KernelSymbol(name)
	_, offsets := c.host.KernelSymbol(perCPUOffsets)
	if !found || !offsets {
		return c.errorf(call.Args[0].Position(), "the kernel has no symbol %s", name)
	}
	c.unit.constants[call] = int64(address)
	return uint64Type
}
