// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt"
)

// TestHelperErrors: what cannot be read and keys that are not there are told, with their place,
// if that is wanted, and nothing else is.
func TestHelperErrors(t *testing.T) {
	for _, c := range []struct {
		script string
		want   []string
	}{
		{`BEGIN { @[1] = 1; delete(@, 2); delete(@, 1); exit(); }`, []string{"19 map_delete_elem -2"}},
		{`BEGIN { @[1] = 1; printf("%d%d", @[2], @[1]); @s = "x"; print(@s); exit(); }`, []string{"34 map_lookup_elem 0"}},
		{`struct foo { int a; } BEGIN { $x = ((struct foo *)0)->a; exit(); }`, []string{"36 probe_read -14"}},
		{`BEGIN { printf("%d", *kptr((uint64 *)16)); $t = curtask->pid; exit(); }`, []string{"22 probe_read -14"}},
		{`BEGIN { printf("%d", ppid(16)); exit(); }`, []string{"22 probe_read -14", "22 probe_read -14"}},
		{`BEGIN { $s = str(8); $t = ustr(8); printf("%s", kstr(8)); exit(); }`,
			[]string{"14 probe_read_str -14", "27 probe_read_user_str -14", "49 probe_read_kernel_str -1"}},
		{`BEGIN { for ($i : 0..3) { if (@m[$i] == 1) { print(1); } @m[$i] = 1; } exit(); }`,
			[]string{"31 map_lookup_elem 0", "31 map_lookup_elem 0", "31 map_lookup_elem 0"}},
	} {
		for _, wanted := range []bool{true, false} {
			s := start(t, c.script, bt.Options{HelperErrors: wanted})
			var got []string
			for _, o := range follow(t, s, nil).outputs {
				if o.Kind == HelperError {
					if o.Helper == "probe_read_kernel_str" && o.Returned < 0 { // of such an address each kernel says something else
						o.Returned = -1
					}
					got = append(got, fmt.Sprintf("%d %s %d", o.Pos.Column, o.Helper, o.Returned))
				}
			}
			if want := c.want; wanted && !slices.Equal(got, want) || !wanted && got != nil {
				t.Errorf("%s: %q, want %q", c.script, got, want)
			}
		}
	}
}

// TestHelperErrorsTyped: pointers that the verifier follows are told of as others are. The idle
// task has no memory.
func TestHelperErrorsTyped(t *testing.T) {
	script := `rawtracepoint:sched_switch /args.prev->pid == 0/ { $x = args.prev->mm->map_count; exit(); }`
	told := 0
	for _, o := range follow(t, start(t, script, bt.Options{HelperErrors: true}), nil).outputs {
		if o.Kind == HelperError {
			told++
			if o.Pos.Column != 57 || o.Helper != "probe_read" && o.Helper != "probe_read_kernel" {
				t.Errorf("told of %s at %v", o.Helper, o.Pos)
			}
		}
	}
	if told == 0 {
		t.Error("told nothing")
	}
}

// TestHelperErrorsLoad: the kernel takes what it takes without, path() of its objects too.
func TestHelperErrorsLoad(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs scripts")
	}
	for _, text := range []string{
		`iter:task_file { print(path(args.file->f_path)); print(args.task->real_parent->comm); }`,
		`iter:task { print(path(args.task->fs->pwd)); }`,
		`rawtracepoint:sched_switch { print((args.prev->se.vruntime, args.prev->mm->pgd, args.next->cred->uid.val, args.prev->sched_reset_on_fork)); }`,
	} {
		var loads [2]error
		for i, options := range []bt.Options{{}, {HelperErrors: true}} {
			script, problems := bt.Compile(parsed(t, text), theHost, options)
			if script == nil {
				loads[i] = fmt.Errorf("%v", problems)
			} else if s, err := Start(theHost, script, Options{}); err != nil {
				loads[i] = err
			} else if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if loads[0] == nil && loads[1] != nil {
			t.Errorf("%s: %v", text, loads[1])
		}
	}
}

func TestHelperErrorText(t *testing.T) {
	for returned, want := range map[int64]string{
		-int64(unix.ENOENT): "there is no such key to delete (map_delete_elem)",
		-int64(unix.EBUSY):  "this key cannot be deleted: Device or resource busy (map_delete_elem)",
	} {
		if got, _ := helperError("map_delete_elem", returned); got != want {
			t.Errorf("%d: %q, want %q", returned, got, want)
		}
	}
}
