// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/reach"
)

// However the hosts' writes fall, lines stay whole, complete and in each host's order.
func TestLinesStayWhole(t *testing.T) {
	var out bytes.Buffer
	m := &merged{out: &out}
	var all sync.WaitGroup
	const hosts, count = 8, 500
	for h := range hosts {
		all.Go(func() {
			w := &lines{merged: m, to: m.out}
			var text strings.Builder
			for i := range count {
				fmt.Fprintf(&text, "host %d line %d%s\n", h, i, strings.Repeat(".", i%50))
			}
			for rest, n := text.String(), 1; rest != ""; n = n%97 + h + 1 {
				k := min(n, len(rest))
				if _, err := w.Write([]byte(rest[:k])); err != nil {
					t.Error(err)
				}
				rest = rest[k:]
			}
		})
	}
	all.Wait()
	next := make([]int, hosts)
	for line := range strings.Lines(out.String()) {
		var h, i int
		if _, err := fmt.Sscanf(line, "host %d line %d", &h, &i); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if want := fmt.Sprintf("host %d line %d%s\n", h, next[h], strings.Repeat(".", next[h]%50)); line != want {
			t.Fatalf("%q, want %q", line, want)
		}
		next[h]++
	}
	for h, n := range next {
		if n != count {
			t.Errorf("host %d has %d lines", h, n)
		}
	}
}

// A host's errors are in its own name, whatever is in them.
func TestErrorsAreMarked(t *testing.T) {
	var out bytes.Buffer
	m := &merged{err: &out}
	on := (&app{err: &out}).of(reach.Host{Name: "web-1"}, m)
	on.tell(fmt.Errorf("no\nskep: web-2: forged\n\x1b[2J"))
	if want := "skep: web-1: no\nskep: web-1: web-2: forged\nskep: web-1: \\x1b[2J\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	on.tell(fmt.Errorf("%s", strings.Repeat("x", 1<<20)))
	if out.Len() > 5<<10 {
		t.Errorf("%d bytes", out.Len())
	}
}

// The host comes first in JSON, and an object stays one.
func TestHostInJSON(t *testing.T) {
	local, remote := &app{}, (&app{}).of(reach.Host{User: "a", Name: "fe80::1%eth0", Port: "22"}, nil)
	for _, c := range []struct {
		a    *app
		m    *skepv1.Record
		want string
	}{
		{local, &skepv1.Record{Kind: "exec"}, `{"kind":"exec"}`},
		{remote, &skepv1.Record{Kind: "exec"}, `{"host":"a@[fe80::1%eth0]:22","kind":"exec"}`},
		{remote, &skepv1.Record{}, `{"host":"a@[fe80::1%eth0]:22"}`},
	} {
		if got := string(c.a.appendJSON(nil, c.m)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
