// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pattern is what -test.run says of the subtests of TestMatrix: of alternatives, what each level of a name must match.
// A level for the kernel and one for the suite choose what is booted; what follows them is for the suite's own tests.
// Nothing that is not asked for is built or booted.
type pattern [][]string

// chosen is the pattern that go test was given.
func chosen() pattern { return parsePattern(flag.Lookup("test.run").Value.String()) }

// parsePattern splits as package testing does: at each | and / that is in no brackets. Alternatives that are not about
// TestMatrix are left out.
func parsePattern(text string) pattern {
	var p pattern
	for _, alternative := range splitOutside(text, '|') {
		levels := splitOutside(alternative, '/')
		if matches(levels, 0, "TestMatrix") {
			p = append(p, levels[1:])
		}
	}
	return p
}

// splitOutside splits at a byte where that is in no brackets, nor behind a backslash.
func splitOutside(text string, at byte) []string {
	var parts []string
	square, round, start := 0, 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '[':
			square++
		case c == ']':
			square = max(square-1, 0)
		case c == '(' && square == 0:
			round++
		case c == ')' && square == 0:
			round--
		case c == at && square == 0 && round == 0:
			parts, start = append(parts, text[start:i]), i+1
		}
	}
	return append(parts, text[start:])
}

// matches tells whether a name may be at a level. go test has refused what is no regular expression.
func matches(levels []string, level int, name string) bool {
	return level >= len(levels) || regexp.MustCompile(levels[level]).MatchString(name)
}

// run tells whether a suite is chosen on a kernel, and which of its tests are: "" for all that it has.
func (p pattern) run(k Kernel, s suite) (tests string, ok bool) {
	var rest []string
	for _, levels := range p {
		if !matches(levels, 0, k.Name) || !matches(levels, 1, s.name()) {
			continue
		}
		if len(levels) <= 2 {
			return "", true
		}
		rest = append(rest, strings.Join(levels[2:], "/"))
	}
	return strings.Join(rest, "|"), len(rest) > 0
}

// choose leaves, of the suites, those that are chosen on some kernel that they want.
func (p pattern) choose(t *testing.T, all []suite) []suite {
	var left []suite
	for _, s := range all {
		wanted := func(k Kernel) bool {
			_, ok := p.run(k, s)
			return ok && s.wants(k)
		}
		if slices.ContainsFunc(Kernels(), wanted) {
			left = append(left, s)
		}
	}
	if len(left) == 0 {
		t.Fatalf("-run chooses no suite: want TestMatrix/KERNEL/SUITE/TEST, regular expressions; there are %s", names(all))
	}
	return left
}

func (s suite) wants(k Kernel) bool { return len(s.kernels) == 0 || slices.Contains(s.kernels, k.Name) }

func names(all []suite) string {
	var b strings.Builder
	for _, k := range Kernels() {
		fmt.Fprintf(&b, "\n%s:", k.Name)
		for _, s := range all {
			if s.wants(k) {
				b.WriteString(" " + s.name())
			}
		}
	}
	return b.String()
}

func TestPattern(t *testing.T) {
	sensor, agent := suite{pkg: "./internal/sensor/tcp"}, suite{pkg: "./test/e2e/agent"}
	for _, tt := range []struct {
		text, kernel string
		suite        suite
		tests        string
		ok           bool
	}{
		{"", "6.1", sensor, "", true},
		{"^(TestMatrix|TestRun.*)$", "6.1", sensor, "", true},
		{"TestMatrix/6.1", "6.1", sensor, "", true},
		{"TestMatrix/6.1", "7.2", sensor, "", false},
		{"TestMatrix/6.12", "6.12-nobpf", sensor, "", true},
		{"TestMatrix/^6.12$", "6.12-nobpf", sensor, "", false},
		{"TestMatrix/^6.1$/^test.e2e.agent$", "6.1", agent, "", true},
		{"TestMatrix/^6.1$/^test.e2e.agent$", "6.1", sensor, "", false},
		{"TestMatrix//agent", "7.2", agent, "", true},
		{"^TestMatrix$/^6\\.1$/agent/^TestLosses$/^a(b|c/d)[/|]$", "6.1", agent, `^TestLosses$/^a(b|c/d)[/|]$`, true},
		{"TestMatrix/6.1/agent/A|TestMatrix/7.2/agent/B|TestMatrix/6.1/agent/C/d", "6.1", agent, "A|C/d", true},
		{"TestMatrix/6.1/agent/A|TestMatrix/6.1", "6.1", agent, "", true},
		{"TestMatrix/(6.1|7.2)/agent|TestOther/5.10", "5.10", agent, "", false},
		{`TestMatrix/6.1/agent/a\/b\|c`, "6.1", agent, `a\/b\|c`, true},
	} {
		tests, ok := parsePattern(tt.text).run(Kernel{Name: tt.kernel}, tt.suite)
		if tests != tt.tests || ok != tt.ok {
			t.Errorf("%q, %s, %s: got %q and %v, want %q and %v", tt.text, tt.kernel, tt.suite.name(), tests, ok, tt.tests, tt.ok)
		}
	}
}
