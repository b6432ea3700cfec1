// SPDX-License-Identifier: Apache-2.0

package kern

import "github.com/cilium/ebpf/asm"

// encodesAsR0 is no register, but of a register's number only four bits go into an
// instruction, and those are R0's.
const encodesAsR0 = asm.R0 + 1<<4

// keepUserReads has the calls of bpf_probe_read_user reach the kernel as they are.
//
// Where cilium/ebpf (v0.22.0) finds no bpf_probe_read_kernel it takes the kernel for one
// before 5.5 and replaces these calls, too, by bpf_probe_read. Under
// lockdown=confidentiality that is wrong: the kernel forbids reading its own memory, by
// either of the two, and allows reading a process's. The library recognises a call by its
// registers, which say nothing in one, so another number in them is enough.
func keepUserReads(instructions asm.Instructions) {
	for i := range instructions {
		ins := &instructions[i]
		if !ins.IsBuiltinCall() {
			continue
		}
		switch asm.BuiltinFunc(ins.Constant) {
		case asm.FnProbeReadUser, asm.FnProbeReadUserStr:
			ins.Dst = encodesAsR0
		}
	}
}
