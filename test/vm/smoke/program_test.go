// SPDX-License-Identifier: Apache-2.0

package smoke

import (
	"io"
	"net"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// program says how to load and attach one kind of program.
type program struct {
	spec ebpf.ProgramSpec
	// body runs before the count; nil for none. It may use R6 to R9, and R1, which holds the context.
	body asm.Instructions
	// ret is what the program returns.
	ret    int32
	attach func(*ebpf.Program) (io.Closer, error)
}

// start loads and attaches p with a body that counts its runs, and returns the counter.
func (p program) start(t *testing.T) (runs func() uint64, err error) {
	t.Helper()
	counter, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		t.Fatalf("create counter: %v", err)
	}
	t.Cleanup(func() { counter.Close() })
	p.spec.License = "Dual BSD/GPL"
	p.spec.Instructions = append(p.body, count(counter, p.ret)...)
	prog, err := ebpf.NewProgram(&p.spec)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { prog.Close() })
	l, err := p.attach(prog)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { l.Close() })
	return func() uint64 {
		var n uint64
		if err := counter.Lookup(uint32(0), &n); err != nil {
			t.Fatalf("read counter: %v", err)
		}
		return n
	}, nil
}

// count adds one to the only element of m and returns ret.
func count(m *ebpf.Map, ret int32) asm.Instructions {
	return asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, ret).WithSymbol("out"),
		asm.Return(),
	}
}

// tracing attaches to a kernel function or tracepoint by BTF.
func tracing(kind ebpf.AttachType, target string) program {
	return program{
		spec: ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: kind, AttachTo: target},
		attach: func(p *ebpf.Program) (io.Closer, error) {
			return link.AttachTracing(link.TracingOptions{Program: p, AttachType: kind})
		},
	}
}

func lsm(hook string, flags uint32) program {
	return program{
		spec: ebpf.ProgramSpec{Type: ebpf.LSM, AttachType: ebpf.AttachLSMMac, AttachTo: hook, Flags: flags},
		ret:  -int32(unix.EPERM),
		attach: func(p *ebpf.Program) (io.Closer, error) {
			return link.AttachLSM(link.LSMOptions{Program: p})
		},
	}
}

func modifyReturn(target string) program {
	p := tracing(ebpf.AttachModifyReturn, target)
	p.ret = -int32(unix.EPERM)
	return p
}

func kprobe(attach func(string, *ebpf.Program, *link.KprobeOptions) (link.Link, error), symbol string) program {
	return program{
		spec:   ebpf.ProgramSpec{Type: ebpf.Kprobe},
		attach: func(p *ebpf.Program) (io.Closer, error) { return attach(symbol, p, nil) },
	}
}

func kprobeMulti(symbol string) program {
	return program{
		spec: ebpf.ProgramSpec{Type: ebpf.Kprobe, AttachType: ebpf.AttachTraceKprobeMulti},
		attach: func(p *ebpf.Program) (io.Closer, error) {
			return link.KprobeMulti(p, link.KprobeMultiOptions{Symbols: []string{symbol}})
		},
	}
}

func tracepoint(group, name string) program {
	return program{
		spec:   ebpf.ProgramSpec{Type: ebpf.TracePoint},
		attach: func(p *ebpf.Program) (io.Closer, error) { return link.Tracepoint(group, name, p, nil) },
	}
}

func rawTracepoint(name string) program {
	return program{
		spec: ebpf.ProgramSpec{Type: ebpf.RawTracepoint},
		attach: func(p *ebpf.Program) (io.Closer, error) {
			return link.AttachRawTracepoint(link.RawTracepointOptions{Name: name, Program: p})
		},
	}
}

// pinnedTracepoint also pins the link, which older kernels refuse.
func pinnedTracepoint(t *testing.T, group, name string) program {
	p := tracepoint(group, name)
	p.attach = func(prog *ebpf.Program) (io.Closer, error) {
		l, err := link.Tracepoint(group, name, prog, nil)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = l.Unpin() })
		return l, l.Pin("/sys/fs/bpf/smoke-tracepoint")
	}
	return p
}

func cgroup(kind ebpf.AttachType, programType ebpf.ProgramType) program {
	return program{
		spec: ebpf.ProgramSpec{Type: programType, AttachType: kind},
		ret:  1, // go on
		attach: func(p *ebpf.Program) (io.Closer, error) {
			return link.AttachCgroup(link.CgroupOptions{Path: cgroup2(), Attach: kind, Program: p})
		},
	}
}

func tcx() program {
	return program{
		spec: ebpf.ProgramSpec{Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress},
		ret:  -1, // TCX_NEXT
		attach: func(p *ebpf.Program) (io.Closer, error) {
			lo, err := net.InterfaceByName("lo")
			if err != nil {
				return nil, err
			}
			return link.AttachTCX(link.TCXOptions{Interface: lo.Index, Program: p, Attach: ebpf.AttachTCXIngress})
		},
	}
}

func xdp() program {
	return program{
		spec: ebpf.ProgramSpec{Type: ebpf.XDP},
		ret:  2, // XDP_PASS
		attach: func(p *ebpf.Program) (io.Closer, error) {
			lo, err := net.InterfaceByName("lo")
			if err != nil {
				return nil, err
			}
			return link.AttachXDP(link.XDPOptions{Program: p, Interface: lo.Index, Flags: link.XDPGenericMode})
		},
	}
}

// iterTask attaches an iterator and reads it to its end, which runs the program once for each task.
func iterTask() program {
	return program{
		spec: ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "task"},
		attach: func(p *ebpf.Program) (io.Closer, error) {
			it, err := link.AttachIter(link.IterOptions{Program: p})
			if err != nil {
				return nil, err
			}
			r, err := it.Open()
			if err != nil {
				return nil, err
			}
			_, err = io.Copy(io.Discard, r)
			r.Close()
			return it, err
		},
	}
}

// readKernel reads the task's address, by helper, from where it stands on the context.
func readKernel(target string) program {
	p := rawTracepoint(target)
	p.body = asm.Instructions{
		asm.Mov.Reg(asm.R3, asm.R1),
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, -16),
		asm.Mov.Imm(asm.R2, 8),
		asm.FnProbeReadKernel.Call(),
		asm.JNE.Imm(asm.R0, 0, "out"),
	}
	return p
}

// localStorage makes a map of task or socket storage.
func localStorage(kind ebpf.MapType) (*ebpf.Map, error) {
	return ebpf.NewMap(&ebpf.MapSpec{
		Type: kind, KeySize: 4, ValueSize: 8, Flags: unix.BPF_F_NO_PREALLOC,
		Key: &btf.Int{Name: "key", Size: 4}, Value: &btf.Int{Name: "value", Size: 8},
	})
}

// taskStorage stores in the current task's storage from a tracing program.
func taskStorage(m *ebpf.Map, target string) program {
	p := tracing(ebpf.AttachTraceRawTp, target)
	p.body = append(asm.Instructions{asm.FnGetCurrentTaskBtf.Call(), asm.Mov.Reg(asm.R2, asm.R0)},
		storageGet(m, asm.FnTaskStorageGet)...)
	return p
}

// sockStorage stores in the storage of the socket that is the tracepoint's first argument.
func sockStorage(m *ebpf.Map, target string) program {
	p := tracing(ebpf.AttachTraceRawTp, target)
	p.body = append(asm.Instructions{asm.LoadMem(asm.R2, asm.R1, 0, asm.DWord)}, storageGet(m, asm.FnSkStorageGet)...)
	return p
}

// storageGet creates the storage of the object in R2, and leaves the program if that fails: only a success counts.
func storageGet(m *ebpf.Map, get asm.BuiltinFunc) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.Mov.Imm(asm.R4, 1), // BPF_LOCAL_STORAGE_GET_F_CREATE
		get.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
	}
}

// fetchAdd uses an atomic that returns the old value, and leaves the program if it did not.
func fetchAdd(target string) program {
	const old = 5
	// cilium/ebpf v0.22.0 encodes the immediate before it derives it from the opcode, and so loses the operation of
	// atomics that are built in Go: say it twice.
	add := asm.FetchAdd.Mem(asm.RFP, asm.R6, asm.DWord, -16)
	add.Constant = int64(asm.FetchAdd >> 8)
	p := tracing(ebpf.AttachTraceRawTp, target)
	p.body = asm.Instructions{
		asm.Mov.Imm(asm.R6, old),
		asm.StoreMem(asm.RFP, -16, asm.R6, asm.DWord),
		asm.Mov.Imm(asm.R6, 1),
		add,
		asm.Mov.Imm(asm.R0, 0),
		asm.JNE.Imm(asm.R6, old, "out"),
	}
	return p
}
