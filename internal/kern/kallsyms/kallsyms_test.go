// SPDX-License-Identifier: Apache-2.0

package kallsyms

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

const sample = `ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000100 t do_one
ffffffff81000200 D some_data
ffffffffc0000000 t in_module	[veth]
ffffffffc0000040 t bpf_prog_1_x	[bpf]
`

func TestParse(t *testing.T) {
	var table Table
	if err := table.parse(strings.NewReader(sample)); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[uint64]string{
		0xffffffff81000000: "_stext", 0xffffffff810000ff: "_stext", 0xffffffff81000100: "do_one", 0xffffffffc0000010: "in_module",
	} {
		if s, offset, ok := table.At(address); !ok || s.Name != want || s.Address+offset != address {
			t.Errorf("%#x: %+v + %d", address, s, offset)
		}
	}
	if _, _, ok := table.At(0x1000); ok {
		t.Error("named an address below the kernel")
	}
	if s, ok := table.Named("in_module"); !ok || s.Module != "veth" || !s.Function {
		t.Errorf("in_module: %+v", s)
	}
	if s, ok := table.Named("some_data"); !ok || s.Function {
		t.Errorf("some_data: %+v", s)
	}
	if _, ok := table.Named("do"); ok {
		t.Error("found part of a name")
	}
}

// TestHidden: a kernel that hides its addresses still tells what there is.
func TestHidden(t *testing.T) {
	table := Table{read: time.Now()}
	if err := table.parse(strings.NewReader("0000000000000000 T _stext\n0000000000000000 t do_one\n")); err != nil {
		t.Fatal(err)
	}
	if s, ok := table.Named("do_one"); !ok || s.Address != 0 || !s.Function {
		t.Errorf("%+v, %t", s, ok)
	}
	if _, _, ok := table.At(0); ok {
		t.Error("named an address that the kernel hides")
	}
	if _, err := table.Address("do_one"); !errors.Is(err, ErrHidden) {
		t.Errorf("its address: %v", err)
	}
	if _, err := table.Address("do_two"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the address of none: %v", err)
	}
}

func TestKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: reads /proc/kallsyms")
	}
	var table Table
	if err := table.Load(); err != nil {
		t.Fatal(err)
	}
	s, ok := table.Named("vfs_read")
	if !ok || !s.Function {
		t.Fatalf("vfs_read: %+v", s)
	}
	if at, offset, ok := table.At(s.Address + 5); !ok || at.Name != "vfs_read" || offset != 5 {
		t.Errorf("%+v + %d", at, offset)
	}
	table.forget()
	if table.entries != nil {
		t.Error("kept")
	}
	table.timer.Stop()
}
