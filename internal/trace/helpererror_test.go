// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"slices"
	"testing"

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
