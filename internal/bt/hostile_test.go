// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// hostile are scripts that are short for what they ask for, or as long as scripts may be.
var hostile = []struct {
	name, text string
	old        bool   // for a kernel without loops
	want       string // what it is refused for; "" if it may compile
}{
	{"texts in texts without loops", `config = { max_strlen = 16384 } BEGIN { print(strcontains(str(1), str(2))) }`, true, "too large"},
	{"a long text in a longer one without loops", `config = { max_strlen = 16384 } BEGIN { print(strcontains(str(1), "` + strings.Repeat("x", 300) + `")) }`, true, "too large"},
	{"unroll in unroll", `BEGIN { unroll (100) { unroll (20) { ` + strings.Repeat(`@x[pid] = count(); @y[comm] = hist(1);`, 20) + ` } } }`, false, "too large"},
	{"a probe of many statements", `BEGIN { ` + strings.Repeat(`@x[1]++; `, 20_000) + ` }`, false, "too large"},
	{"many variables that live long", `BEGIN { ` + many(3000, `$v%d = pid + %[1]d; if ($v%[1]d > 3) { @a = $v%[1]d; } `) + many(3000, `@s = $v%d;`) + ` }`, false, "too large"},
	{"macros that double", `macro m(x) { x + x } BEGIN { print(` + strings.Repeat("m(", 30) + "1" + strings.Repeat(")", 30) + `); }`, false, "too large"},
	{"macros that double without a value", `macro m(x) { x; x; } BEGIN { ` + strings.Repeat("m({ m(", 12) + "@++" + strings.Repeat("); 1 })", 12) + `; }`, false, "too large"},
	{"a long sum", `BEGIN { @x = 1; @ = 1` + strings.Repeat(` + @x`, 150) + `; }`, false, ""},
	{"many loops", `BEGIN { ` + many(150, `for ($i%d : 0..pid) { @[$i%[1]d] = %[1]d; } `) + ` }`, false, ""},
	{"many ifs", `BEGIN { ` + strings.Repeat(`if (pid > 1 && tid > 2 || uid) { @x = pid; } else { @y = tid; } `, 1500) + ` }`, false, ""},
}

func many(n int, format string) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, format, i)
	}
	return s.String()
}

// TestHostile: whatever a script is, its compilation ends soon: with programs, or with the
// reason why there are none.
func TestHostile(t *testing.T) {
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			start := time.Now()
			host := &fakeHost{}
			if h.old {
				host.lacks = map[int64]bool{181: true}
			}
			program, errs := syntax.Parse(h.text, nil)
			if len(errs) > 0 {
				t.Fatal(errs.Err())
			}
			script, problems := bt.Compile(program, host, bt.Options{})
			parsed := time.Since(start)
			switch {
			case h.want != "" && (len(problems) == 0 || !strings.Contains(problems[0].Text, h.want)):
				t.Errorf("got %v, want %q", problems, h.want)
			case h.want == "" && script == nil:
				t.Errorf("refused: %v", problems)
			case script != nil:
				for _, p := range script.Probes {
					if _, err := compile.Compile(p.Program, compile.Options{CPU: 4}); err != nil {
						t.Log(err)
					}
				}
			}
			t.Logf("%v to check and lower, %v in all", parsed, time.Since(start))
			if took := time.Since(start); took > time.Minute {
				t.Errorf("it takes %v", took)
			}
		})
	}
}
