// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// keyed is what the helpers of maps begin with.
func keyed(c *Call) (*Map, []byte, error) {
	found, err := c.Map(0)
	if err != nil {
		return nil, nil, err
	}
	if found.spec.KeySize == 0 {
		return nil, nil, fmt.Errorf("map %q has no keys", found.spec.Name)
	}
	key, err := c.Bytes(1, found.spec.KeySize)
	return found, key, err
}

// orNull is the address of a value, or 0.
func orNull(r *Region) (Value, error) {
	if r == nil {
		return Number(0), nil
	}
	return Pointer(r, 0), nil
}

func mapLookup(c *Call) (Value, error) {
	found, key, err := keyed(c)
	if err != nil {
		return Value{}, err
	}
	return orNull(found.store.lookup(key, c.Machine.Host.CPU))
}

func mapLookupPerCPU(c *Call) (Value, error) {
	found, key, err := keyed(c)
	if err != nil {
		return Value{}, err
	}
	cpu, err := c.Number(2)
	if err != nil || cpu >= uint64(c.Machine.Host.cpus()) {
		return Number(0), err
	}
	return orNull(found.store.lookup(key, int(cpu)))
}

// changed is keyed, of a map that programs may change.
func changed(c *Call) (*Map, []byte, error) {
	found, key, err := keyed(c)
	if err == nil && found.spec.ReadOnly {
		err = fmt.Errorf("map %q is read-only", found.spec.Name)
	}
	return found, key, err
}

func mapUpdate(c *Call) (Value, error) {
	found, key, err := changed(c)
	if err != nil {
		return Value{}, err
	}
	value, err := c.Bytes(2, found.spec.ValueSize)
	if err != nil {
		return Value{}, err
	}
	flags, err := c.Number(3)
	if err != nil {
		return Value{}, err
	}
	return Result(found.store.update(key, value, flags, c.Machine.Host.CPU))
}

func mapDelete(c *Call) (Value, error) {
	found, key, err := changed(c)
	if err != nil {
		return Value{}, err
	}
	return Result(found.store.remove(key))
}

// forEachMapElem calls a function with each element, in the order of insertion, until it
// returns 1. What was removed meanwhile is left out.
func forEachMapElem(c *Call) (Value, error) {
	found, err := c.Map(0)
	if err != nil {
		return Value{}, err
	}
	fn, err1 := c.Arg(1)
	data, err2 := c.Arg(2)
	flags, err3 := c.Number(3)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Value{}, err
	}
	if flags != 0 {
		return Result(-einval)
	}
	visited := int64(0)
	for key := range found.store.keys() {
		value := found.store.lookup(key, c.Machine.Host.CPU)
		if value == nil {
			continue
		}
		visited++
		done, err := c.element(found, fn, key, value, data)
		if err != nil {
			return Value{}, err
		}
		if done {
			break
		}
	}
	return Result(visited)
}

func (c *Call) element(found *Map, fn Value, key []byte, value *Region, data Value) (done bool, err error) {
	if err := c.Machine.Spend(1); err != nil {
		return false, err
	}
	copied := c.Machine.adopt(&Region{Kind: MapValue, Name: "key of " + found.spec.Name, Data: key, ReadOnly: true})
	v, err := c.Call(fn, found.reference, Pointer(copied, 0), Pointer(value, 0), data)
	copied.Kill("the callback has returned")
	return v.Number != 0, err
}

const maxLoops = 8 << 20

// loop calls a function up to n times, until it returns 1.
func loop(c *Call) (Value, error) {
	n, err0 := c.Number(0)
	fn, err1 := c.Arg(1)
	data, err2 := c.Arg(2)
	flags, err3 := c.Number(3)
	if err := errors.Join(err0, err1, err2, err3); err != nil {
		return Value{}, err
	}
	n = uint64(uint32(n))
	switch {
	case flags != 0:
		return Result(-einval)
	case n > maxLoops:
		return Result(-e2big)
	}
	for i := range n {
		if err := c.Machine.Spend(1); err != nil {
			return Value{}, err
		}
		v, err := c.Call(fn, Number(i), data)
		if err != nil {
			return Value{}, err
		}
		if v.Number != 0 {
			return Result(int64(i + 1))
		}
	}
	return Result(int64(n))
}

func (c *Call) stacks(i int) (*stacks, error) {
	found, err := c.Map(i)
	if err != nil {
		return nil, err
	}
	s, ok := found.store.(*stacks)
	if !ok {
		return nil, fmt.Errorf("map %q holds no stack traces", found.spec.Name)
	}
	return s, nil
}

// trace is the stack that flags ask for, nil if there is none.
func (c *Call) trace(flags uint64) []uint64 {
	if c.Machine.Host.Stack == nil {
		return nil
	}
	all := c.Machine.Host.Stack(flags&userStack != 0)
	return all[min(len(all), int(flags&skipMask)):]
}

func stackID(c *Call) (Value, error) {
	s, err := c.stacks(1)
	if err != nil {
		return Value{}, err
	}
	flags, err := c.Number(2)
	if err != nil {
		return Value{}, err
	}
	trace := c.trace(flags)
	if len(trace) == 0 {
		return Result(-efault)
	}
	return Result(s.id(trace, flags))
}

// stackOf writes a stack to memory and gives the bytes that it takes.
func stackOf(c *Call) (Value, error) {
	size, err := c.Size(2)
	if err != nil {
		return Value{}, err
	}
	to, err := c.Room(1, size)
	if err != nil {
		return Value{}, err
	}
	flags, err := c.Number(3)
	if err != nil {
		return Value{}, err
	}
	out := make([]byte, size)
	trace := c.trace(flags)
	depth := min(len(trace), size/8)
	for i, address := range trace[:depth] {
		binary.LittleEndian.PutUint64(out[8*i:], address)
	}
	if err := to.Write(out); err != nil {
		return Value{}, err
	}
	if depth == 0 {
		return Result(-efault)
	}
	return Result(int64(8 * depth))
}
