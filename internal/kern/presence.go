// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
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
// start at once, the one with the younger mark gives way. A private agent leaves
// the field to itself and does not mark it.
func (k *Kernel) announce() error {
	if k.options.PinRoot == "" {
		return nil
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: presenceName, Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "task", License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return fmt.Errorf("load presence program: %w%s", err, memlockHint(err))
	}
	l, err := link.AttachIter(link.IterOptions{Program: program})
	if err != nil {
		program.Close()
		return fmt.Errorf("make presence link: %w", err)
	}
	k.presence = presence{program, l}
	info, err := l.Info()
	if err != nil {
		return errors.Join(fmt.Errorf("read presence link: %w", err), k.presence.Close())
	}
	if other := olderPresence(info.ID); other != 0 {
		k.presence.Close()
		return fmt.Errorf("start agent: %w (its BPF link has id %d; `bpftool link show id %d` names its process); use it, or stop it first", ErrRunning, other, other)
	}
	return nil
}

// olderPresence returns the id of a presence link older than own, or 0.
func olderPresence(own link.ID) link.ID {
	var it link.Iterator
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil || info.Type != link.IterType || info.ID >= own {
			continue
		}
		program, err := ebpf.NewProgramFromID(info.Program)
		if err != nil {
			continue
		}
		programInfo, err := program.Info()
		program.Close()
		if err == nil && programInfo.Name == presenceName {
			return info.ID
		}
	}
	return 0
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
