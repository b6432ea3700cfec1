// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
)

// TestTaken: print() and the clear() behind it are one action where nothing can come in
// between, and a map that is only added to besides is known as that.
func TestTaken(t *testing.T) {
	for text, want := range map[string]string{
		`print(@a); clear(@a);`:                                       "take @a, @a summed",
		`print(@a, 5); print(@b); clear(@a); clear(@b);`:              "take @a, take @b, @a summed, @b summed",
		`print(@a); time(); printf("x"); clear(@a);`:                  "take @a, time, printf, @a summed",
		`print(@a); print(@a, 3); clear(@a);`:                         "print @a, take @a, @a summed",
		`if (pid) { print(@a); } clear(@a);`:                          "print @a, clear @a",
		`if (pid) { print(@a); clear(@a); }`:                          "take @a, @a summed",
		`print(@a); if (pid) { exit(); } clear(@a);`:                  "print @a, exit, clear @a",
		`print(@a); printf("%d", { exit(); 1 }); clear(@a);`:          "print @a, exit, printf, clear @a",
		`clear(@a); print(@a);`:                                       "clear @a, print @a",
		`print(@a); clear(@b);`:                                       "print @a, clear @b",
		`print(@v); clear(@v);`:                                       "take @v",
		`print(@m); clear(@m);`:                                       "take @m",
		`print(@a); clear(@a); if ((int64)@a[1] > 5) { print(1); }`:   "take @a, value",
		`print(@a); clear(@a); delete(@a[1]);`:                        "take @a",
		`print(@a); clear(@a); zero(@a);`:                             "take @a, zero @a",
		`print(@a); clear(@a); print(@a[1]);`:                         "take @a, value",
		`print(@a); clear(@a); print(@a);`:                            "take @a, print @a, @a summed",
		`print(@a); clear(@a); for ($x : @a) { @b[1] = hist($x.1); }`: "take @a",
		`print(@l); clear(@l);`:                                       "take @l",
	} {
		program, errs := syntax.Parse(`let @l = lruhash(100); BEGIN { @a[pid] = count(); @b[pid] = hist(1); @v[pid] = 1; @m[pid] = max(3); @l[pid] = 1; } END { `+text+` }`, nil)
		if len(errs) > 0 {
			t.Fatal(text, errs)
		}
		script, problems := bt.Compile(program, &fakeHost{}, bt.Options{})
		if script == nil {
			t.Fatal(text, problems)
		}
		names := map[bt.ActionKind]string{bt.PrintMap: "print", bt.Clear: "clear", bt.Zero: "zero", bt.Time: "time", bt.Printf: "printf", bt.Exit: "exit", bt.PrintValue: "value"}
		var got []string
		for _, a := range script.Actions {
			name := names[a.Kind]
			if a.Clears {
				name = "take"
			}
			got = append(got, strings.TrimSpace(name+" "+a.Map))
		}
		for _, m := range script.Maps {
			if m.Summed {
				got = append(got, m.Name+" summed")
			}
		}
		if fmt.Sprint(strings.Join(got, ", ")) != want {
			t.Errorf("%s: %q, expected %q", text, got, want)
		}
	}
}
