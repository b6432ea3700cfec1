// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"reflect"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/vm"
)

func TestCountByComm(t *testing.T) {
	r := newRig(t, `tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }`, bt.Options{})
	for _, comm := range []string{"sh", "ls", "sh"} {
		r.host(vm.Host{Comm: comm}).fire(0, make([]byte, 64))
	}
	if got, want := r.contents("@"), "ls=1,0 sh=2,0"; got != want {
		t.Errorf("@ holds %q, want %q", got, want)
	}
}

func TestHelloAndExit(t *testing.T) {
	r := newRig(t, `BEGIN { printf("hello %d\n", 1); exit(); print(3); }`, bt.Options{})
	got := r.fire(0, nil).output()
	if want := []string{"0 hello %d\n 1", "10  0"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrintAndClear(t *testing.T) {
	r := newRig(t, `interval:s:1 { print(@); clear(@); } BEGIN { @ = 1 }`, bt.Options{})
	if p := r.script.Probes[0].Targets[0]; p.Period != 1e9 {
		t.Errorf("the period is %d", p.Period)
	}
	t.Log(r.fire(0, nil).output())
}

func TestExecFilename(t *testing.T) {
	r := newRig(t, `tracepoint:sched:sched_process_exec { printf("%s %s\n", comm, str(args.filename)); }`, bt.Options{})
	context := append(words(0, 20|8<<16), make([]byte, 4)...)
	context = append(context, "/bin/ls\x00"...)
	got := r.host(vm.Host{Comm: "sh"}).fire(0, context).output()
	if want := []string{"0 %s %s\n sh|/bin/ls"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHistogramOfErrors(t *testing.T) {
	r := newRig(t, `tracepoint:raw_syscalls:sys_exit /args.ret < 0/ { @[pid, comm] = hist(args.ret) }`, bt.Options{})
	for _, ret := range []int64{-2, 3, -1} {
		r.host(vm.Host{Comm: "sh", PidTgid: 7<<32 | 8}).fire(0, words(0, 1, uint64(ret)))
	}
	if got, want := r.contents("@"), "7,sh=0:2,"; got != want {
		t.Errorf("@ holds %q, want %q", got, want)
	}
}
