// SPDX-License-Identifier: Apache-2.0

package bt

// Numbers of the kernel's helpers, enum bpf_func_id of its uapi/linux/bpf.h.
const (
	fnLookup        = 1
	fnUpdate        = 2
	fnDelete        = 3
	fnRead          = 4
	fnTime          = 5
	fnRandom        = 7
	fnProcessor     = 8
	fnPIDTGID       = 14
	fnUIDGID        = 15
	fnComm          = 16
	fnStackID       = 27
	fnTask          = 35
	fnNuma          = 42
	fnReadStr       = 45
	fnOverride      = 58
	fnStack         = 67
	fnCgroupID      = 80
	fnSignal        = 109
	fnReadUser      = 112
	fnReadKernel    = 113
	fnReadUserStr   = 114
	fnReadKernelStr = 115
	fnJiffies       = 118
	fnBootTime      = 125
	fnReserve       = 131
	fnSubmit        = 132
	fnPath          = 147
	fnForEach       = 164
	fnFuncIP        = 173
	fnCookie        = 174
	fnLoop          = 181
	fnStrncmp       = 182
	fnLookupPerCPU  = 195
	fnTAI           = 208
)

// checkedHelpers are the names of those that Options.HelperErrors is about.
func checkedHelpers() map[int64]string {
	return map[int64]string{
		fnLookup: "map_lookup_elem", fnDelete: "map_delete_elem",
		fnRead: "probe_read", fnReadStr: "probe_read_str", fnReadUser: "probe_read_user", fnReadUserStr: "probe_read_user_str",
		fnReadKernel: "probe_read_kernel", fnReadKernelStr: "probe_read_kernel_str",
	}
}

// Flags of helpers.
const (
	userStack  = 1 << 8 // BPF_F_USER_STACK
	noWakeup   = 1      // BPF_RB_NO_WAKEUP
	wakeup     = 2      // BPF_RB_FORCE_WAKEUP
	ifMissing  = 1      // BPF_NOEXIST
	reuseStack = 1 << 10
)
