// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"fmt"
)

// Helper is a function of the kernel that programs call. An error is a fault of the
// program; what the kernel answers with a negative number is a result.
type Helper func(c *Call) (Value, error)

// Callback runs a function of the program that called a helper.
type Callback func(m *Machine, fn Value, args ...Value) (Value, error)

// Call is one call of a helper.
type Call struct {
	Machine *Machine
	args    []Value
	invoke  Callback
}

// Helper calls the helper of that number with up to five arguments.
func (m *Machine) Helper(number int64, args []Value, invoke Callback) (Value, error) {
	h := m.helpers[number]
	if h == nil {
		return Value{}, fmt.Errorf("there is no helper %d in the machine", number)
	}
	v, err := h(&Call{m, args, invoke})
	if err != nil {
		return Value{}, fmt.Errorf("helper %d: %w", number, err)
	}
	return v, nil
}

// Arg is argument i, from 0.
func (c *Call) Arg(i int) (Value, error) {
	if i >= len(c.args) || c.args[i].undefined {
		return Value{}, fmt.Errorf("argument %d was never set", i+1)
	}
	return c.args[i], nil
}

// Number is argument i, which must be no pointer.
func (c *Call) Number(i int) (uint64, error) {
	v, err := c.Arg(i)
	if err == nil && v.Region != nil {
		err = fmt.Errorf("argument %d is a pointer", i+1)
	}
	return v.Number, err
}

// Size is argument i, a number of bytes.
func (c *Call) Size(i int) (int, error) {
	n, err := c.Number(i)
	if err == nil && n > maxMapBytes {
		err = fmt.Errorf("argument %d: %d is no size", i+1, int64(n))
	}
	return int(n), err
}

// Map is argument i.
func (c *Call) Map(i int) (*Map, error) {
	v, err := c.Arg(i)
	if err != nil {
		return nil, err
	}
	return mapOf(v)
}

// Bytes are size bytes that argument i points to.
func (c *Call) Bytes(i, size int) ([]byte, error) {
	v, err := c.Arg(i)
	if err != nil {
		return nil, err
	}
	b, err := v.Bytes(size)
	if err != nil {
		return nil, fmt.Errorf("argument %d: %w", i+1, err)
	}
	return b, nil
}

// Memory is what arguments i and i+1, a pointer and a size, mean.
func (c *Call) Memory(i int) ([]byte, error) {
	size, err := c.Size(i + 1)
	if err != nil {
		return nil, err
	}
	if v, err := c.Arg(i); err == nil && size == 0 && v.Region == nil && v.Number == 0 {
		return nil, nil
	}
	return c.Bytes(i, size)
}

// Room is a pointer that size bytes can be written at.
func (c *Call) Room(i, size int) (Value, error) {
	v, err := c.Arg(i)
	if err != nil {
		return v, err
	}
	if _, err := v.span(size, writing); err != nil {
		return v, fmt.Errorf("argument %d: %w", i+1, err)
	}
	return v, nil
}

// Result is what the kernel answers, negative for an error.
func Result(n int64) (Value, error) { return Number(uint64(n)), nil }

var errNoCallback = errors.New("functions cannot be called from here")

// Call calls a function of the program.
func (c *Call) Call(fn Value, args ...Value) (Value, error) {
	if c.invoke == nil {
		return Value{}, errNoCallback
	}
	return c.invoke(c.Machine, fn, args...)
}

const helperTailCall = 12

// builtins are the helpers of a machine, by their numbers in include/uapi/linux/bpf.h.
func builtins() map[int64]Helper {
	return map[int64]Helper{
		1:   mapLookup,
		2:   mapUpdate,
		3:   mapDelete,
		4:   probeRead(anySpace),
		5:   clock(Monotonic),
		6:   tracePrintk,
		7:   func(c *Call) (Value, error) { return Number(uint64(c.Machine.Host.next())), nil },
		8:   host(func(h *Host) uint64 { return uint64(h.CPU) }),
		14:  host(func(h *Host) uint64 { return h.PidTgid }),
		15:  host(func(h *Host) uint64 { return h.UidGid }),
		16:  currentComm,
		25:  perfEventOutput,
		26:  packetLoadBytes,
		27:  stackID,
		35:  host(func(h *Host) uint64 { return h.Task }),
		42:  host(func(h *Host) uint64 { return uint64(h.Node) }),
		45:  probeReadString(anySpace),
		67:  stackOf,
		80:  host(func(h *Host) uint64 { return h.Cgroup }),
		109: sendSignal,
		112: probeRead(userSpace),
		113: probeRead(kernelSpace),
		114: probeReadString(userSpace),
		115: probeReadString(kernelSpace),
		117: sendSignal,
		118: clock(Jiffies),
		123: ancestorCgroup,
		125: clock(Boot),
		130: ringOutput,
		131: ringReserve,
		132: ringFinish(false),
		133: ringFinish(true),
		134: ringQuery,
		160: clock(Coarse),
		164: forEachMapElem,
		173: host(func(h *Host) uint64 { return h.FuncIP }),
		174: host(func(h *Host) uint64 { return h.Cookie }),
		181: loop,
		182: compareStrings,
		189: packetLoadBytes,
		195: mapLookupPerCPU,
		208: clock(TAI),
	}
}

func host(read func(*Host) uint64) Helper {
	return func(c *Call) (Value, error) { return Number(read(c.Machine.Host)), nil }
}

func clock(which Clock) Helper {
	return func(c *Call) (Value, error) { return Number(c.Machine.Host.now(which)), nil }
}
