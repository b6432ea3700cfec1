// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"fmt"
)

func (c *Call) ring(i int) (*ring, error) {
	found, err := c.Map(i)
	if err != nil {
		return nil, err
	}
	r, ok := found.store.(*ring)
	if !ok {
		return nil, fmt.Errorf("map %q is no ring", found.spec.Name)
	}
	return r, nil
}

func ringOutput(c *Call) (Value, error) {
	r, err0 := c.ring(0)
	data, err1 := c.Memory(1)
	_, err2 := c.Number(3)
	if err := errors.Join(err0, err1, err2); err != nil {
		return Value{}, err
	}
	to := r.reserve(len(data))
	if to == nil {
		return Result(-eagain)
	}
	copy(to.Data, data)
	r.finish(to, false)
	return Result(0)
}

func ringReserve(c *Call) (Value, error) {
	r, err0 := c.ring(0)
	size, err1 := c.Size(1)
	flags, err2 := c.Number(2)
	if err := errors.Join(err0, err1, err2); err != nil {
		return Value{}, err
	}
	if flags != 0 {
		return Number(0), nil
	}
	return orNull(r.reserve(size))
}

// ringFinish submits or discards. What was never written in a record reads as 0.
func ringFinish(discard bool) Helper {
	return func(c *Call) (Value, error) {
		v, err := c.Arg(0)
		if err != nil {
			return Value{}, err
		}
		if v.Region == nil || v.offset() != 0 {
			return Value{}, fmt.Errorf("argument 1: %s is no record", v)
		}
		for _, found := range c.Machine.maps {
			if r, ok := found.store.(*ring); ok && r.finish(v.Region, discard) {
				return Result(0)
			}
		}
		return Value{}, fmt.Errorf("argument 1: %s is no record that waits to be finished", v)
	}
}

// ringQuery answers what there is to read, the size, and both positions.
func ringQuery(c *Call) (Value, error) {
	r, err0 := c.ring(0)
	what, err1 := c.Number(1)
	if err := errors.Join(err0, err1); err != nil {
		return Value{}, err
	}
	answers := []uint64{r.produced - r.consumed, uint64(r.spec.MaxEntries), r.consumed, r.produced}
	if what >= uint64(len(answers)) {
		return Number(0), nil
	}
	return Number(answers[what]), nil
}

// currentCPU as the index of a perf event array is the processor that runs.
const currentCPU = 0xffff_ffff

func perfEventOutput(c *Call) (Value, error) {
	r, err0 := c.ring(1)
	flags, err1 := c.Number(2)
	data, err2 := c.Memory(3)
	if err := errors.Join(err0, err1, err2); err != nil {
		return Value{}, err
	}
	index := flags & currentCPU
	if index == currentCPU {
		index = uint64(c.Machine.Host.CPU)
	}
	if index >= uint64(r.spec.MaxEntries) {
		return Result(-e2big)
	}
	r.add(data)
	return Result(0)
}
