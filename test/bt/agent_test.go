// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// An agent that a case has ended, or whose socket is gone, is started again; one that runs is
// left alone.
func TestAgent(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	t.Setenv("SKEP_SOCKET", socket)
	a := &agent{command: "echo x >> starts; touch socket; exec sleep 600", dir: dir}
	defer a.end()
	for i, spoil := range []func(){func() {}, func() {}, func() { os.Remove(socket) }, func() { a.process.kill() }} {
		spoil()
		if err := a.ensure(); err != nil {
			t.Fatal(err)
		}
		starts, err := os.ReadFile(filepath.Join(dir, "starts"))
		if want := []int{2, 2, 4, 6}[i]; err != nil || len(starts) != want {
			t.Errorf("step %d: %q, %v, expected %d bytes", i, starts, err, want)
		}
	}
	if err := (&agent{command: "exit 1", dir: dir}).ensure(); err == nil {
		t.Error("an agent that ends at once is taken")
	}
}

func TestKnown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results")
	text := "f\ta\tlanguage\tpass\tFAIL\t1\t2\t\twhy\nf\ta\tlanguage\tTIMEOUT\tpass\t1\t2\tslow\t\nf\tb\tlists\tskip\tskip\t0\t0\tx\tx\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := readKnown(file)
	if want := (known{"f.a": {{verdict: passed}, {verdict: timedOut, why: "slow"}}}); err != nil || !reflect.DeepEqual(k, want) {
		t.Errorf("%+v, %v", k, err)
	}
	r := &runner{known: k}
	c := &testCase{File: "f", Name: "a"}
	for _, want := range []bool{true, true, false} {
		if _, ok := r.take(c); ok != want {
			t.Errorf("a verdict is there: %v, expected %v", ok, want)
		}
	}
}
