// SPDX-License-Identifier: Apache-2.0

package bt

import "strings"

// registerOffset is where a register is in the context of a probe: struct pt_regs of
// arch/x86 and struct user_pt_regs of arch/arm64 in the kernel.
func registerOffset(arch, name string) (int, bool) {
	for i, register := range registers(arch) {
		if register == name {
			return i * word, true
		}
	}
	return 0, false
}

func registers(arch string) []string {
	if arch == "arm64" {
		var names []string
		for i := range 31 {
			names = append(names, "x"+itoa(i))
		}
		return append(names, "sp", "pc", "pstate")
	}
	return strings.Fields("r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss")
}

func registerNames(arch string) []string { return registers(arch) }

// argumentRegister is where a function gets an argument.
func argumentRegister(arch string, number int) string {
	if arch == "arm64" {
		return "x" + itoa(number)
	}
	return strings.Fields("di si dx cx r8 r9")[number]
}

// resultRegister is where a function leaves its result, and instructionRegister where it is.
func resultRegister(arch string) string {
	if arch == "arm64" {
		return "x0"
	}
	return "ax"
}

func instructionRegister(arch string) string {
	if arch == "arm64" {
		return "pc"
	}
	return "ip"
}
