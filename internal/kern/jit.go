// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"bytes"
	"os"

	"github.com/cilium/ebpf/asm"
)

// interpreted tells whether the kernel runs programs without compiling them
// (net.core.bpf_jit_enable, where it is not built to compile always).
func interpreted() bool {
	text, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	return err == nil && bytes.Equal(bytes.TrimSpace(text), []byte("0"))
}

// noHelper is the number of no helper function: the verifier refuses a call of it that it comes to.
const noHelper asm.BuiltinFunc = 0x5eeb

// withoutKernelFunctions has a program do without bpf_rdonly_cast and its like, as on a kernel that has none:
// a kernel that interprets programs refuses all that have such a call, also where they never come to it.
func withoutKernelFunctions(instructions asm.Instructions) {
	for i := range instructions {
		ins := &instructions[i]
		switch {
		case ins.IsKfuncCall():
			*ins = noHelper.Call().WithSymbol(ins.Symbol()).WithSource(ins.Source())
		case ins.OpCode.IsDWordLoad() && ins.Src == asm.R0 && ins.Reference() != "" && ins.Map() == nil:
			*ins = asm.LoadImm(ins.Dst, 0, asm.DWord).WithSymbol(ins.Symbol()).WithSource(ins.Source())
		}
	}
}
