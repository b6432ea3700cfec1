// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// presenceName is the name of the program behind an agent's presence link.
const presenceName = "skep_agent"

// presence is the mark of a living agent: an iterator link that is never run and
// never pinned, so that the kernel takes it away with the process, however that ends.
type presence struct {
	program *ebpf.Program
	link    link.Link
}

// ErrRunning means that another agent is at work on this host.
var ErrRunning = errors.New("another skep agent is running on this host")

// announce makes the mark first and looks for others second: of two agents that
// start at once, the one with the younger mark gives way.
func announce() (presence, error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: presenceName, Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "task", License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return presence{}, fmt.Errorf("load presence program: %w%s", err, memlockHint(err))
	}
	l, err := link.AttachIter(link.IterOptions{Program: program})
	if err != nil {
		program.Close()
		return presence{}, fmt.Errorf("make presence link: %w", err)
	}
	p := presence{program, l}
	if err := p.first(); err != nil {
		return presence{}, errors.Join(err, p.Close())
	}
	return p, nil
}

// first is nil if no older mark than this one is there.
func (p *presence) first() error {
	info, err := p.link.Info()
	if err != nil {
		return fmt.Errorf("read presence link: %w", err)
	}
	other, err := olderPresence(info.ID)
	if err != nil {
		return fmt.Errorf("look for other agents: %w", err)
	}
	if other != 0 {
		return fmt.Errorf("%w (`bpftool link show id %d` names its process); use it, or stop it first", ErrRunning, other)
	}
	return nil
}

// olderPresence returns the id of a presence link older than own, or 0. A link that is
// just going away cannot be opened (EAGAIN): then the walk begins anew.
func olderPresence(own link.ID) (link.ID, error) {
	for tries := 0; ; tries++ {
		id, err := walkPresences(own)
		if !errors.Is(err, unix.EAGAIN) || tries == 50 {
			return id, err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func walkPresences(own link.ID) (link.ID, error) {
	var it link.Iterator
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil {
			return 0, err
		}
		if info.Type != link.IterType || info.ID >= own {
			continue
		}
		name, err := programName(info.Program)
		if err != nil {
			return 0, err
		}
		if name == presenceName {
			return info.ID, nil
		}
	}
	return 0, it.Err()
}

// programName is "" for a program that has gone meanwhile.
func programName(id ebpf.ProgramID) (string, error) {
	program, err := ebpf.NewProgramFromID(id)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return "", err
	}
	return info.Name, nil
}

// Close takes the mark away.
func (p *presence) Close() error {
	if p.link == nil {
		return nil
	}
	err := errors.Join(p.link.Close(), p.program.Close())
	*p = presence{}
	return err
}
