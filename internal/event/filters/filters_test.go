// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/sample"
)

// family is a process tree in which every process has the ancestors given.
func family(exes ...string) Deps {
	var ancestors []*skepv1.Process
	for _, exe := range exes {
		ancestors = append(ancestors, &skepv1.Process{Exe: exe})
	}
	return Deps{Ancestors: func(_ string, yield func(*skepv1.Process) bool) {
		for _, p := range ancestors {
			if !yield(p) {
				return
			}
		}
	}}
}

func TestFilter(t *testing.T) {
	bare := sample.Envelope(event.Exit.String(), 1) // no process at all
	agent := sample.Envelope(event.Agent.String(), 1)
	mapped := sample.Close(1)
	mapped.GetConnection().Local.Address = "::ffff:10.9.9.9"
	podOnly := sample.Exec(1)
	podOnly.Process.Container, podOnly.Pod = nil, "web-0"
	unknown := sample.Exec(1)
	unknown.Kind = "from-the-future"
	type filter = skepv1.Filter
	for _, c := range []struct {
		name   string
		filter *filter
		record *skepv1.Record
		want   bool
	}{
		{"nil", nil, sample.Exec(1), true},
		{"empty", &filter{}, bare, true},
		{"kind", &filter{Kinds: []string{"exit", "exec"}}, sample.Exec(1), true},
		{"other kind", &filter{Kinds: []string{"exit"}}, sample.Exec(1), false},
		{"unknown kind, all wanted", &filter{}, unknown, true},
		{"unknown kind, some wanted", &filter{Kinds: []string{"exec"}}, unknown, false},
		{"pid", &filter{Pids: []uint32{1, 4711}}, sample.Exec(1), true},
		{"other pid", &filter{Pids: []uint32{1}}, sample.Exec(1), false},
		{"pid 0 is not no process", &filter{Pids: []uint32{0}}, bare, false},
		{"uid", &filter{Uids: []uint32{1000}}, sample.Exec(1), true},
		{"uid 0 is not no process", &filter{Uids: []uint32{0}}, bare, false},
		{"comm", &filter{Comms: []string{"curl"}}, sample.Exec(1), true},
		{"comm is exact", &filter{Comms: []string{"cur"}}, sample.Exec(1), false},
		{"exe exact", &filter{Exes: []string{"/usr/bin/curl"}}, sample.Exec(1), true},
		{"exe is not a prefix", &filter{Exes: []string{"/usr/bin/cur"}}, sample.Exec(1), false},
		{"exe directory", &filter{Exes: []string{"/usr/"}}, sample.Exec(1), true},
		{"exe other directory", &filter{Exes: []string{"/usr/bin/curl/"}}, sample.Exec(1), false},
		{"exe base name", &filter{Exes: []string{"curl"}}, sample.Exec(1), true},
		{"exe other base name", &filter{Exes: []string{"bin"}}, sample.Exec(1), false},
		{"container full id", &filter{Containers: []string{strings.Repeat("0123456789abcdef", 4)}}, sample.Exec(1), true},
		{"container short id", &filter{Containers: []string{"0123456789ab"}}, sample.Exec(1), true},
		{"container too short id", &filter{Containers: []string{"0123456789a"}}, sample.Exec(1), false},
		{"container name", &filter{Containers: []string{"web"}}, sample.Exec(1), true},
		{"container name is exact", &filter{Containers: []string{"we"}}, sample.Exec(1), false},
		{"pod of the container", &filter{Containers: []string{"web-0"}}, sample.Exec(1), true},
		{"pod of the record", &filter{Containers: []string{"web-0"}}, podOnly, true},
		{"no container", &filter{Containers: []string{"web"}}, podOnly, false},
		{"address", &filter{Addrs: []string{"10.1.2.3"}}, sample.Close(1), true},
		{"address of the other end, spelled differently", &filter{Addrs: []string{"2001:0db8:0::0005"}}, sample.Close(1), true},
		{"prefix", &filter{Addrs: []string{"192.168.0.0/16", "10.0.0.0/8"}}, sample.Close(1), true},
		{"prefix with host bits", &filter{Addrs: []string{"10.1.2.99/24"}}, sample.Close(1), true},
		{"other prefix", &filter{Addrs: []string{"10.2.0.0/16"}}, sample.Close(1), false},
		{"IPv6 prefix", &filter{Addrs: []string{"2001:db8::/32"}}, sample.Close(1), true},
		{"mapped filter", &filter{Addrs: []string{"::ffff:10.1.2.3"}}, sample.Close(1), true},
		{"mapped prefix", &filter{Addrs: []string{"::ffff:10.1.0.0/112"}}, sample.Close(1), true},
		{"mapped record", &filter{Addrs: []string{"10.9.9.9"}}, mapped, true},
		{"address of no connection", &filter{Addrs: []string{"0.0.0.0/0", "::/0"}}, sample.Exec(1), false},
		{"server of a DNS query", &filter{Addrs: []string{"2001:db8::/32"}, Ports: []uint32{53}}, sample.DNS(1), true},
		{"client of a DNS query", &filter{Addrs: []string{"10.1.2.3"}, Ports: []uint32{43210}}, sample.DNS(1), true},
		{"neither end of a DNS query", &filter{Addrs: []string{"10.1.2.4"}}, sample.DNS(1), false},
		{"path", &filter{Paths: []string{"/tmp/x", "/etc/hosts"}}, sample.File(), true},
		{"path below a directory", &filter{Paths: []string{"/etc"}}, sample.File(), true},
		{"path below a directory, with a slash", &filter{Paths: []string{"/etc/"}}, sample.File(), true},
		{"new path", &filter{Paths: []string{"/srv"}}, sample.File(), true},
		{"root", &filter{Paths: []string{"/"}}, sample.File(), true},
		{"half a name", &filter{Paths: []string{"/et", "/etc/host", "/etc/hosts/x"}}, sample.File(), false},
		{"path of what is no file operation", &filter{Paths: []string{"/"}}, sample.Exec(1), false},
		{"local port", &filter{Ports: []uint32{43210}}, sample.Close(1), true},
		{"remote port", &filter{Ports: []uint32{443}}, sample.Close(1), true},
		{"other port", &filter{Ports: []uint32{44}}, sample.Close(1), false},
		{"port 0 is not no connection", &filter{Ports: []uint32{0}}, sample.Exec(1), false},
		{"ancestor", &filter{AncestorExes: []string{"sshd"}}, sample.Exec(1), true},
		{"not oneself", &filter{AncestorExes: []string{"curl"}}, sample.Exec(1), false},
		{"fields are ANDed", &filter{Pids: []uint32{4711}, Uids: []uint32{7}}, sample.Exec(1), false},
		{"all fields hold", &filter{Pids: []uint32{4711}, Uids: []uint32{1000}, Ports: []uint32{443}, Where: `connection.rtt_us < 100`}, sample.Close(1), true},

		{"loss passes other fields", &filter{Pids: []uint32{7}, Where: "false"}, sample.Loss("exec"), true},
		{"agent with other fields", &filter{Pids: []uint32{7}, Where: "false"}, agent, false},
		{"loss of a wanted kind", &filter{Kinds: []string{"exec"}}, sample.Loss("exec"), true},
		{"loss of another kind", &filter{Kinds: []string{"exit"}}, sample.Loss("exec"), false},
		{"loss of who knows what", &filter{Kinds: []string{"exit"}}, sample.Loss(""), true},
		{"loss asked for", &filter{Kinds: []string{"loss"}}, sample.Loss("exec"), true},
		{"agent not asked for", &filter{Kinds: []string{"exec"}}, agent, false},
		{"agent asked for", &filter{Kinds: []string{"agent"}}, agent, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Compile(c.filter, family("/bin/bash", "/usr/sbin/sshd"))
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Match(c.record); got != c.want {
				t.Errorf("Match = %v, want %v", got, c.want)
			}
		})
	}
}

// A cursor given CursorKinds must not withhold what Match would pass.
func TestCursorKindsAreEnough(t *testing.T) {
	for _, kinds := range [][]string{nil, {"exec"}, {"loss"}, {"agent", "close"}} {
		f, err := Compile(&skepv1.Filter{Kinds: kinds}, Deps{})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range event.Kinds() {
			r := sample.Envelope(k.String(), 1)
			if f.Match(r) && !f.CursorKinds().Has(k) {
				t.Errorf("kinds %v: %s matches but is not delivered", kinds, k)
			}
			if !f.CursorKinds().Has(event.Loss) {
				t.Errorf("kinds %v: no loss records", kinds)
			}
		}
	}
}

func TestFilterErrors(t *testing.T) {
	many := slices.Repeat([]uint32{1}, maxFilterValues+1)
	for _, c := range []struct {
		filter *skepv1.Filter
		want   string
	}{
		{&skepv1.Filter{Kinds: []string{"exce"}}, `filter kinds: unknown kind "exce": did you mean "exec"?`},
		{&skepv1.Filter{Pids: many}, `filter pids: 1025 values, the limit is 1024`},
		{&skepv1.Filter{Exes: []string{""}}, `filter exes: an empty name`},
		{&skepv1.Filter{Containers: []string{""}}, `filter containers: an empty value`},
		{&skepv1.Filter{Ports: []uint32{70000}}, `filter ports: 70000 is not a port`},
		{&skepv1.Filter{Addrs: []string{"10.0.0"}}, `filter addrs: "10.0.0" is not an address`},
		{&skepv1.Filter{Addrs: []string{"10.0.0.0/33"}}, `filter addrs: "10.0.0.0/33" is not an address prefix`},
		{&skepv1.Filter{Addrs: []string{"fe80::1%eth0"}}, `filter addrs: "fe80::1%eth0" has a zone`},
		{&skepv1.Filter{AncestorExes: []string{"sshd"}}, `filter ancestor_exes: no process table`},
	} {
		_, err := Compile(c.filter, Deps{})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	r := sample.Close(1)
	deps := family("/bin/a", "/bin/b", "/bin/c", "/bin/d", "/bin/e")
	for _, c := range []struct {
		name   string
		filter *skepv1.Filter
	}{
		{"none", nil},
		{"kind", &skepv1.Filter{Kinds: []string{"close"}}},
		{"pid", &skepv1.Filter{Pids: []uint32{4711}}},
		{"exe", &skepv1.Filter{Exes: []string{"/usr/lib/", "curl"}}},
		{"container", &skepv1.Filter{Containers: []string{"0123456789ab"}}},
		{"port", &skepv1.Filter{Ports: []uint32{443}}},
		{"addr", &skepv1.Filter{Addrs: []string{"2001:db8::/32"}}},
		{"ancestor5", &skepv1.Filter{AncestorExes: []string{"zsh"}}},
		{"where1", &skepv1.Filter{Where: `process.uid == 1000`}},
		{"where3", &skepv1.Filter{Where: `kind == "close" && process.uid == 1000 && connection.remote.port == 443`}},
	} {
		b.Run(c.name, func(b *testing.B) {
			f, err := Compile(c.filter, deps)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				f.Match(r)
			}
		})
	}
}

func ExampleParseKind() {
	_, err := event.ParseKind("exce")
	fmt.Println(err)
	// Output: unknown kind "exce": did you mean "exec"? the kinds are fork, exec, exit, oom, connect, accept, close, listen, dns, loss, agent, file, udp, unix, host
}
