// SPDX-License-Identifier: Apache-2.0

package compile

// The helpers are named by their numbers in enum bpf_func_id of include/uapi/linux/bpf.h,
// which never change.

const (
	mapLookup = 1
	mapUpdate = 2
	mapDelete = 3
	forEach   = 164 // for_each_map_elem, which calls a function
	loop      = 181 // the same
)

// constantHelpers give the same each time within one run of a program: who is running,
// where, and why.
var constantHelpers = map[int64]bool{
	8:   true, // get_smp_processor_id
	14:  true, // get_current_pid_tgid
	15:  true, // get_current_uid_gid
	35:  true, // get_current_task
	80:  true, // get_current_cgroup_id
	158: true, // get_current_task_btf
	173: true, // get_func_ip
	174: true, // get_attach_cookie
}

// quietHelpers are known not to change the context. All others are taken to do so: those
// that resize or rewrite a packet change the fields of its __sk_buff or xdp_md.
var quietHelpers = map[int64]bool{
	1: true, 2: true, 3: true, // map_lookup_elem, map_update_elem, map_delete_elem
	4: true, 112: true, 113: true, 114: true, 115: true, // probe_read and its kinds
	5: true, 6: true, 7: true, // ktime_get_ns, trace_printk, get_prandom_u32
	16: true, 25: true, 27: true, // get_current_comm, perf_event_output, get_stackid
	45: true, 67: true, 109: true, // probe_read_str, get_stack, send_signal
	125: true, 130: true, 131: true, 132: true, 133: true, 134: true, // ktime_get_boot_ns, ringbuf
	160: true, 164: true, 181: true, // ktime_get_coarse_ns, for_each_map_elem, loop
}

// fillingHelpers write as many bytes as their second operand says to where their first
// points, whether they succeed or fail, and read nothing there. Those that read strings are
// not among them: behind the end of the string they leave what is there, as get_current_comm
// does on some kernels (6.1).
var fillingHelpers = map[int64]bool{
	4:   true, // probe_read
	112: true, // probe_read_user
	113: true, // probe_read_kernel
}

// stable tells whether a value that is not pure is nevertheless the same each time: a load
// from a context that nothing changes, or what a helper says of the current task.
func (n *numbering) stable(v *Value) bool {
	switch v.Op {
	case Call:
		return constantHelpers[v.Imm] && len(v.Args) == 0
	case Load, LoadPtr:
		return v.Args[0].Type == Context && !n.contextChanges
	}
	return false
}

// changesContext tells whether a function may change its context: it stores there, hands
// it to another function, or calls a helper that is not known to leave it alone.
func changesContext(f *Func) bool {
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			switch v.Op {
			case Store, Zero, Copy, AtomicAdd:
				if v.Args[0].Type == Context {
					return true
				}
			case Call:
				if !quietHelpers[v.Imm] && !constantHelpers[v.Imm] {
					return true
				}
			case CallFunc:
				return true
			}
		}
	}
	return false
}
