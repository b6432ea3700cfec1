// SPDX-License-Identifier: Apache-2.0

package tracefs

import (
	"errors"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"testing"
)

const sample = `name: sched_process_exec
ID: 302
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:__data_loc char[] filename;	offset:8;	size:4;	signed:0;
	field:__rel_loc char[] other;	offset:12;	size:4;	signed:0;
	field:pid_t old_pid;	offset:16;	size:4;	signed:1;
	field:char comm[16];	offset:20;	size:16;	signed:0;
	field:const char * name;	offset:40;	size:8;	signed:0;
	field:struct page *page;	offset:48;	size:8;	signed:0;
	field:u8 a[N];	offset:56;	size:3;	signed:0;
	field:broken

print fmt: "filename=%s", __get_str(filename)
`

func TestParseFormat(t *testing.T) {
	want := []Field{
		{Name: "common_type", Type: "unsigned short", Size: 2},
		{Name: "common_pid", Type: "int", Offset: 4, Size: 4, Signed: true},
		{Name: "filename", Type: "char", Array: true, Offset: 8, Size: 4, Dynamic: true},
		{Name: "other", Type: "char", Array: true, Offset: 12, Size: 4, Dynamic: true, Relative: true},
		{Name: "old_pid", Type: "pid_t", Offset: 16, Size: 4, Signed: true},
		{Name: "comm", Type: "char", Array: true, Count: 16, Offset: 20, Size: 16},
		{Name: "name", Type: "const char *", Offset: 40, Size: 8},
		{Name: "page", Type: "struct page *", Offset: 48, Size: 8},
		{Name: "a", Type: "u8", Array: true, Offset: 56, Size: 3},
	}
	if got := ParseFormat(sample); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}

// TestKernel: every tracepoint of the running kernel has fields that follow one another.
func TestKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: reads tracefs")
	}
	f, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	events, err := f.Events()
	if err != nil || len(events) < 100 {
		t.Fatalf("%d tracepoints: %v", len(events), err)
	}
	for _, e := range events {
		fields, err := f.Format(e.Category, e.Name)
		if err != nil {
			t.Errorf("%v: %v", e, err)
			continue
		}
		text, err := f.read(e.Category, e.Name, "format")
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Count(string(text), "\tfield:"); len(fields) != want {
			t.Errorf("%v: %d fields of %d", e, len(fields), want)
		}
		end := 0
		for _, field := range fields {
			if field.Offset < end {
				t.Errorf("%v: field %s at %d overlaps", e, field.Name, field.Offset)
			}
			end = field.Offset + field.Size
		}
	}
	if id, err := f.ID("syscalls", "sys_enter_openat"); err != nil || id == 0 {
		t.Errorf("number %d: %v", id, err)
	}
	for _, name := range []string{"nothing", "..", "", "a/b"} {
		if _, err := f.ID("syscalls", name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzParseFormat(f *testing.F) {
	f.Add(sample)
	f.Add("field:char a[18446744073709551616]; offset:99999999999999999999; size:-1;")
	f.Fuzz(func(t *testing.T, text string) {
		for _, field := range ParseFormat(text) {
			if field.Name == "" || field.Type == "" || field.Offset < 0 || field.Size < 0 || field.Count < 0 {
				t.Errorf("%+v", field)
			}
		}
	})
}
