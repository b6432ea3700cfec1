// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Scan runs an iterator program of a sensor's object once and returns what it wrote.
func (k *Kernel) Scan(s Sensor, program string) ([]byte, error) {
	programs, _, err := k.loadRung(s, Ladder{}, scanRung(program))
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", program, err)
	}
	defer closeAll(programs)
	l, err := link.AttachIter(link.IterOptions{Program: programs[program]})
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", program, err)
	}
	defer l.Close()
	out, err := pass(l)
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", program, err)
	}
	return out, nil
}

// Iterate runs an attached iterator program once, over all there is, and returns what it
// wrote. It may be called from any goroutine until [Kernel.Close].
func (k *Kernel) Iterate(program string) ([]byte, error) {
	l := k.iterator(program)
	if l == nil {
		return nil, fmt.Errorf("iterate %s: not attached: %w", program, fs.ErrNotExist)
	}
	out, err := pass(l)
	if err != nil {
		return nil, fmt.Errorf("iterate %s: %w", program, err)
	}
	return out, nil
}

func (k *Kernel) iterator(program string) *link.Iter {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	for _, p := range k.programs {
		if l, ok := p.link.(*link.Iter); ok && p.Name == program {
			return l
		}
	}
	return nil
}

// passBytes is the most that the kernel writes per read (8 pages). After each it has to
// find again where it was, so less than that at a time is slow.
const passBytes = 32 << 10

func pass(l *link.Iter) (out []byte, err error) {
	reader, err := l.Open()
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	defer reader.Close()
	for {
		out = slices.Grow(out, passBytes)
		n, err := reader.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return out, nil
		case errors.Is(err, unix.EAGAIN): // a million objects, of which none was told: go on
		default:
			return nil, fmt.Errorf("read: %w", err)
		}
	}
}
