// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"errors"
	"fmt"
)

// fetch reads what an unsafe pointer points to: a region if it is known to be into one,
// else one of the host's address spaces. It gives as many bytes as there are.
func (c *Call) fetch(from Value, size int, space space) []byte {
	if from.Region != nil {
		at, all := from.offset(), from.Region.Data
		if at < 0 || at > int64(len(all)) {
			return nil
		}
		return all[at:min(int64(len(all)), at+int64(size))]
	}
	memory := c.Machine.Host.Kernel
	if space == userSpace || space == anySpace && from.Number < firstKernel {
		memory = c.Machine.Host.User
	}
	if memory == nil || noMemory(from, space) == -erange {
		return nil
	}
	b := make([]byte, size)
	return b[:memory.Read(from.Number, b)]
}

// target is where the helpers that read write to: arguments 1 and 2.
func (c *Call) target() (to Value, size int, from Value, err error) {
	size, err = c.Size(1)
	if err != nil {
		return to, 0, from, err
	}
	from, err = c.Arg(2)
	if err != nil {
		return to, 0, from, err
	}
	if size == 0 {
		return to, 0, from, nil
	}
	to, err = c.Room(0, size)
	return to, size, from, err
}

// failed clears the target and answers with an error.
func failed(to Value, size int, errno int64) (Value, error) {
	if err := to.Write(make([]byte, size)); err != nil {
		return Value{}, err
	}
	return Result(errno)
}

// firstKernel is where addresses of amd64 that are not of users begin, with a page between.
const firstKernel = 1<<47 + 1<<12

// noMemory is what the kernel answers: one that reads its own memory does not even try
// where users have theirs (copy_from_kernel_nofault_allowed).
func noMemory(from Value, space space) int64 {
	if space == kernelSpace && from.Number < firstKernel {
		return -erange
	}
	return -efault
}

// space is which memory a helper reads.
type space uint8

const (
	userSpace space = iota
	kernelSpace
	anySpace // as the address says
)

func probeRead(space space) Helper {
	return func(c *Call) (Value, error) {
		to, size, from, err := c.target()
		if err != nil || size == 0 {
			return Number(0), err
		}
		b := c.fetch(from, size, space)
		if len(b) < size {
			return failed(to, size, noMemory(from, space))
		}
		return Number(0), to.Write(b)
	}
}

// probeReadString copies up to and with a 0, which it writes in any case, and gives the
// number of bytes. What is behind the 0 stays as it was.
func probeReadString(space space) Helper {
	return func(c *Call) (Value, error) {
		to, size, from, err := c.target()
		if err != nil || size == 0 {
			return Number(0), err
		}
		b := bytes.Clone(c.fetch(from, size, space))
		switch end := bytes.IndexByte(b, 0); {
		case end >= 0:
			b = b[:end+1]
		case len(b) < size:
			return failed(to, size, noMemory(from, space))
		default:
			b[size-1] = 0
		}
		if err := to.Write(b); err != nil {
			return Value{}, err
		}
		return Result(int64(len(b)))
	}
}

func currentComm(c *Call) (Value, error) {
	size, err := c.Size(1)
	if err != nil {
		return Value{}, err
	}
	to, err := c.Room(0, size)
	if err != nil {
		return Value{}, err
	}
	comm := c.Machine.Host.Comm
	return Number(0), to.Write(fixed(comm[:min(len(comm), 15)], size))
}

func ancestorCgroup(c *Call) (Value, error) {
	level, err := c.Number(0)
	if ancestors := c.Machine.Host.Ancestors; err == nil && level < uint64(len(ancestors)) {
		return Number(ancestors[level]), nil
	}
	return Number(0), err
}

// compareStrings compares up to a 0 or the size that is given.
func compareStrings(c *Call) (Value, error) {
	size, err := c.Size(1)
	if err != nil {
		return Value{}, err
	}
	a, err0 := c.Bytes(0, size)
	p, err1 := c.Arg(2)
	if err := errors.Join(err0, err1); err != nil {
		return Value{}, err
	}
	for i := range a {
		at := p
		at.Number += uint64(i)
		b, err := at.Bytes(1)
		if err != nil {
			return Value{}, fmt.Errorf("argument 3: %w", err)
		}
		if a[i] != b[0] {
			return Result(int64(a[i]) - int64(b[0]))
		}
		if a[i] == 0 {
			break
		}
	}
	return Result(0)
}

func sendSignal(c *Call) (Value, error) {
	n, err := c.Number(0)
	if err != nil {
		return Value{}, err
	}
	c.Machine.Host.Signals = append(c.Machine.Host.Signals, int(uint32(n)))
	return Result(0)
}

// tracePrintk keeps the format as it is.
func tracePrintk(c *Call) (Value, error) {
	format, err := c.Memory(0)
	if err != nil {
		return Value{}, err
	}
	c.Machine.Host.Trace = append(c.Machine.Host.Trace, bytes.Clone(format))
	return Result(int64(len(format)))
}
