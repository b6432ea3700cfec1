// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
)

var withoutFunctions = map[bt.ProbeKind]bool{bt.Kprobe: true, bt.Kretprobe: true, bt.Fentry: true, bt.Fexit: true}

// likeness is how a probe on a function and its substitute are compared: both run a script
// while calls of known number and values are made, and both must say what is known.
type likeness struct {
	// functions, apart by blanks, of which there is one in each kernel: "kprobe:f kprobe:g".
	functions string
	// keep is a predicate that leaves out what others do; print a list of integers.
	keep, print string
	// provoke makes the calls and returns what is to be printed, in any order.
	provoke func(t *testing.T) []string
	// apart tells why the probe on the function is not compared.
	apart string
}

// TestSubstitutes: each row of the table sees what the test provokes and, where this kernel
// can probe functions, what the probe on the function sees.
func TestSubstitutes(t *testing.T) {
	covered := map[string]bool{}
	for _, c := range likenesses() {
		for function := range strings.FieldsSeq(c.functions) {
			covered[function] = true
			t.Run(function, func(t *testing.T) { c.compare(t, function) })
		}
	}
	for _, row := range bt.Substitutes() {
		if name := kindPrefix[row.Kind] + row.Function; !covered[name] {
			t.Errorf("no test provokes calls of %s", name)
		}
	}
}

var kindPrefix = map[bt.ProbeKind]string{bt.Kprobe: "kprobe:", bt.Kretprobe: "kretprobe:"}

func (c likeness) compare(t *testing.T, function string) {
	script := fmt.Sprintf(`%s /%s/ { printf("%s\n", %s); }`, function, c.keep, strings.TrimSpace(strings.Repeat("%ld ", strings.Count(c.print, ";")+1)),
		strings.ReplaceAll(c.print, ";", ","))
	script = c.fill(t, function, script)
	if !compiles(t, script, withoutFunctions) {
		t.Skip("needs a tracepoint that this kernel has not")
	}
	c.once(t, function, script, "")
	for _, by := range []string{"kprobe", "fentry"} {
		if c.apart == "" && probeable(function, by) {
			c.once(t, function, script, by)
		}
	}
}

// once runs the substitute, and beside it a probe on the function itself: by a kprobe, or by
// fentry, or not if by is "".
func (c likeness) once(t *testing.T, function, script, by string) {
	substitute := start(t, script, bt.Options{Without: withoutFunctions})
	var want []string
	provoke := func() { // on a goroutine of its own, which may end by Skip
		done := make(chan struct{})
		go func() {
			defer close(done)
			want = c.provoke(t)
		}()
		<-done
	}
	var real said
	if by != "" {
		s, inner := start(t, script, bt.Options{Without: otherThan[by]}), provoke
		provoke = func() { real = follow(t, s, inner) }
	}
	saw := follow(t, substitute, provoke)
	if t.Skipped() || t.Failed() {
		return
	}
	slices.Sort(want)
	got := lines(saw.text)
	if !alike(got, want, saw.lost()) {
		t.Errorf("the substitute saw %d events, want %d:\n%s\nwant\n%s", len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if other := lines(real.text); by != "" && !alike(got, other, saw.lost()+real.lost()) {
		t.Errorf("the substitute saw %d events, %s by %s %d:\n%s\nand\n%s", len(got), function, by, len(other), strings.Join(got, "\n"), strings.Join(other, "\n"))
	}
	t.Logf("%d events, %s", len(got), map[string]string{"": "as provoked", "kprobe": "as by kprobe", "fentry": "as by fentry"}[by])
}

// lost is how many events the script says it did not get.
func (s said) lost() (n int) {
	for _, o := range s.outputs {
		if o.Kind == Loss {
			n += int(o.Count)
		}
	}
	return n
}

// alike tells whether two have seen the same, but for what was lost, which is counted: where
// one program is interrupted on a slow CPU the kernel does not run it for the next event.
func alike(a, b []string, lost int) bool {
	if lost == 0 || len(a) == len(b) {
		return slices.Equal(a, b)
	}
	most := max(len(a)-len(b), len(b)-len(a))
	return most <= lost && len(a) > 0 && len(b) > 0 && len(slices.Compact(slices.Concat(a, b))) == 1
}

var otherThan = map[string]map[bt.ProbeKind]bool{
	"kprobe": {bt.Fentry: true, bt.Fexit: true}, "fentry": {bt.Kprobe: true, bt.Kretprobe: true},
}

// fill puts what is known only now in the place of its name.
func (c likeness) fill(t *testing.T, function, script string) string {
	if strings.Contains(script, "LOOP") {
		script = strings.ReplaceAll(script, "LOOP", loopName(t))
	}
	packet := "arg0"
	if strings.HasSuffix(function, "sk_skb_reason_drop") {
		packet = "arg1"
	}
	return strings.NewReplacer("TID", strconv.Itoa(threadID), "SWAPPEDPORT", strconv.Itoa(swapped(knownPort)), "SYNPORT", strconv.Itoa(knownPort),
		"PACKET", packet).Replace(script)
}

// probeable tells whether this kernel has the function, and can probe it so.
func probeable(function, by string) bool {
	kinds := map[string]bt.ProbeKind{"kprobe kprobe": bt.Kprobe, "kretprobe kprobe": bt.Kretprobe, "kprobe fentry": bt.Fentry, "kretprobe fentry": bt.Fexit}
	asked, name, _ := strings.Cut(function, ":")
	found, err := theHost.Targets(kinds[asked+" "+by], bt.Target{Function: name})
	return err == nil && len(found) > 0
}

func compiles(t *testing.T, text string, without map[bt.ProbeKind]bool) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs scripts")
	}
	program, errs := syntax.Parse(text, nil)
	if len(errs) > 0 {
		t.Fatalf("%s: %v", text, errs.Err())
	}
	script, _ := bt.Compile(program, theHost, bt.Options{Without: without})
	return script != nil
}

func lines(text string) []string {
	out := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if text == "" {
		out = nil
	}
	slices.Sort(out)
	return out
}
