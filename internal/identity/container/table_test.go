// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/identity/cgroup"
)

var testHierarchy = cgroup.Hierarchy{Version: 1, Controller: "memory", Subsys: "memory", Mount: "/nonexistent/memory", Root: "/"}

func newTestTable(t testing.TB, o Options) *Table {
	t.Helper()
	if o.Sockets == nil {
		o.Sockets = []Socket{}
	}
	if o.RuncRoots == nil {
		o.RuncRoots = []string{}
	}
	return NewTable(cgroup.NewIndex(testHierarchy), o)
}

func TestForCgroup(t *testing.T) {
	table := newTestTable(t, Options{})
	table.CgroupMade(10, "/docker/"+hexA)
	table.CgroupMade(11, "/docker/"+hexA+"/init.scope")
	table.CgroupMade(12, "/system.slice/nginx.service")
	table.CgroupMade(13, "/")
	table.CgroupMade(14, "/some/cgroup")
	for range 2 { // the second time from the cache
		if c := table.ForCgroup(10); c == nil || c.ID != hexA || c.Runtime != Docker || c.Resolved {
			t.Errorf("container: %+v", c)
		}
		if table.ForCgroup(10) != table.ForCgroup(11) {
			t.Error("a sub-cgroup is another container")
		}
		if c := table.ForCgroup(12); c == nil || c.ID != "" || c.Unit != "nginx.service" {
			t.Errorf("unit: %+v", c)
		}
		for _, id := range []uint64{13, 14, 999} {
			if c := table.ForCgroup(id); c != nil {
				t.Errorf("cgroup %d: %+v", id, c)
			}
		}
	}
	if s := table.Stats(); s.Workloads != 2 || len(table.Containers()) != 2 {
		t.Errorf("%+v", s)
	}
}

// TestOldCgroup: a cgroup that is older than the agent is settled when it is first seen, as it
// would else be looked at each millisecond for a while; one that was made just now is not.
func TestOldCgroup(t *testing.T) {
	h := testHierarchy
	h.Mount = t.TempDir()
	if err := os.Mkdir(filepath.Join(h.Mount, "cgroup"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, age := range []time.Duration{0, 2 * youngFor} {
		table := NewTable(cgroup.NewIndex(h), Options{Sockets: []Socket{}, RuncRoots: []string{}})
		table.index.Add(10, "/cgroup")
		c := table.admit(10, time.Now().Add(age))
		if settled := c.retry.Load() == 0; settled != (age > youngFor) {
			t.Errorf("a cgroup of %v is settled: %t", age, settled)
		}
	}
}

// TestForCgroupCollision: cgroups that share a slot do not share a container.
func TestForCgroupCollision(t *testing.T) {
	table := newTestTable(t, Options{})
	const n = 3 << slotBits
	for id := range uint64(n) {
		table.CgroupMade(id+2, fmt.Sprintf("/docker/%064x", id))
	}
	for range 2 {
		for id := range uint64(n) {
			if c := table.ForCgroup(id + 2); c == nil || c.ID != fmt.Sprintf("%064x", id) {
				t.Fatalf("cgroup %d: %+v", id+2, c)
			}
		}
	}
}

// TestRuncState: the state appears after the cgroup was asked for, and
// disappears while late events still come.
func TestRuncState(t *testing.T) {
	roots := t.TempDir()
	table := newTestTable(t, Options{RuncRoots: []string{roots + "/containerd/runc/*", roots + "/runc"}})
	table.CgroupMade(10, "/web")
	table.CgroupMade(11, "/shop/cart/sub")
	if a, b := table.ForCgroup(10), table.ForCgroup(11); a != nil || b != nil {
		t.Fatalf("before: %+v, %+v", a, b)
	}
	writeState(t, roots+"/runc/web-id", "/sys/fs/cgroup/memory/web")
	writeState(t, roots+"/containerd/runc/shop/cart", testHierarchy.Mount+"/shop/cart")
	writeState(t, roots+"/runc/broken", "")
	time.Sleep(2 * staleAfter)
	if c := table.ForCgroup(10); c == nil || c.ID != "web-id" || c.Runtime != Runc {
		t.Errorf("runc: %+v", c)
	}
	if c := table.ForCgroup(11); c == nil || c.ID != "cart" || c.Runtime != Containerd {
		t.Errorf("containerd: %+v", c)
	}
	if err := os.RemoveAll(roots + "/runc"); err != nil {
		t.Fatal(err)
	}
	table.sweep(time.Now())
	if c := table.ForCgroup(10); c == nil || c.ID != "web-id" {
		t.Errorf("after runc delete: %+v", c)
	}
}

// TestRuncStateFoundForAnother: the look for one cgroup's sake finds the state of another,
// which is settled already.
func TestRuncStateFoundForAnother(t *testing.T) {
	roots := t.TempDir()
	table := newTestTable(t, Options{RuncRoots: []string{roots + "/runc"}})
	table.CgroupMade(10, "/young")
	table.CgroupMade(11, "/web")
	table.cells[11].retry.Store(0)
	writeState(t, roots+"/runc/web-id", "/sys/fs/cgroup/memory/web")
	time.Sleep(2 * staleAfter)
	if c := table.ForCgroup(10); c != nil {
		t.Errorf("the young one is %+v", c)
	}
	table.sweep(time.Now())
	if c := table.ForCgroup(11); c == nil || c.ID != "web-id" {
		t.Errorf("the other is %+v", c)
	}
}

func writeState(t *testing.T, dir, cgroupPath string) {
	t.Helper()
	text := fmt.Sprintf(`{"id":"x","cgroup_paths":{"memory":%q,"cpu":"/elsewhere"}}`, cgroupPath)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCgroupOfState(t *testing.T) {
	v2 := cgroup.Hierarchy{Version: 2, Mount: "/host/cgroup", Root: "/"}
	for _, c := range []struct {
		h           cgroup.Hierarchy
		state, want string
	}{
		{testHierarchy, `{"cgroup_paths":{"memory":"/sys/fs/cgroup/memory/a/b"}}`, "/a/b"},
		{testHierarchy, `{"cgroup_paths":{"memory":"/sys/fs/cgroup/memory"}}`, ""},
		{testHierarchy, `{"cgroup_paths":{"cpu":"/sys/fs/cgroup/cpu/a"}}`, ""},
		{testHierarchy, `{"cgroup_paths":{"memory":"/sys/fs/cgroup/memory/../../x"}}`, "/x"},
		{v2, `{"cgroup_paths":{"":"/sys/fs/cgroup/a.scope"}}`, "/a.scope"},
		{v2, `{"cgroup_paths":{"":"/host/cgroup/a"}}`, "/a"},
		{v2, `{}`, ""},
	} {
		if got, err := cgroupOfState([]byte(c.state), c.h); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.state, got, err, c.want)
		}
	}
}

func FuzzCgroupOfState(f *testing.F) {
	f.Add([]byte(`{"cgroup_paths":{"memory":"/sys/fs/cgroup/memory/a/b"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := cgroupOfState(data, testHierarchy); got != "" && (err != nil || got[0] != '/' || filepath.Clean(got) != got) {
			t.Fatalf("%q: %q, %v", data, got, err)
		}
	})
}

// TestGone: a removed cgroup is found for a while, then all of it is forgotten.
func TestGone(t *testing.T) {
	table := newTestTable(t, Options{})
	table.CgroupGone(10, "/docker/"+hexA) // its cgroup_mkdir was lost
	if c := table.ForCgroup(10); c == nil || c.ID != hexA {
		t.Errorf("just removed: %+v", c)
	}
	for id := range uint64(cgroup.MaxRemoved) {
		table.CgroupGone(100+id, "/x")
	}
	table.sweep(time.Now())
	if c := table.ForCgroup(10); c != nil || table.Stats().Workloads != 0 {
		t.Errorf("long after: %+v, %+v", c, table.Stats())
	}
}

// TestFull: cgroups beyond the bound are counted, and told all the same.
func TestFull(t *testing.T) {
	table := newTestTable(t, Options{})
	for id := range uint64(maxCells) {
		table.cells[1000+id] = &cell{id: 1000 + id}
	}
	table.CgroupMade(10, "/docker/"+hexA)
	if c := table.ForCgroup(10); c == nil || c.ID != hexA {
		t.Errorf("beyond the bound: %+v", c)
	}
	if s := table.Stats(); s.Cgroups != maxCells || s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTableMetadata(t *testing.T) {
	f := newFake(t)
	f.mux.HandleFunc("/containers/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"Id":%q,"Name":"/web","Config":{"Image":"img:1"}}`, hexA)
	})
	resolved := make(chan *Container, 1)
	table := newTestTable(t, Options{Sockets: []Socket{{KindDocker, f.socket}}, OnResolved: func(c *Container) { resolved <- c }})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = table.resolver.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	table.CgroupMade(10, "/docker/"+hexA)
	before := table.ForCgroup(10)
	select {
	case c := <-resolved:
		if c.Name != "web" || !c.Resolved || table.ForCgroup(10) != c || before.Name == "web" && before != c {
			t.Errorf("%+v; before %+v", c, before)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no metadata within 10 s")
	}
}

func TestForCgroupAllocates(t *testing.T) {
	table := newTestTable(t, Options{})
	table.CgroupMade(10, "/docker/"+hexA)
	table.CgroupMade(1, "/")
	if n := testing.AllocsPerRun(1000, func() { table.ForCgroup(10); table.ForCgroup(1) }); n != 0 {
		t.Errorf("%v allocations on a hit", n)
	}
}

func TestTableConcurrent(t *testing.T) {
	table := newTestTable(t, Options{})
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			for i := range uint64(2000) {
				id := 2 + i%500
				table.CgroupMade(id, fmt.Sprintf("/docker/%064x", id))
				if c := table.ForCgroup(id); c == nil || c.ID != fmt.Sprintf("%064x", id) {
					t.Errorf("cgroup %d: %+v", id, c)
				}
				if i%100 == g {
					table.sweep(time.Now())
				}
			}
		})
	}
	wg.Wait()
}

// TestHostileLabels: a label that is too big costs only itself.
func TestHostileLabels(t *testing.T) {
	m := Meta{Labels: map[string]string{"a": strings.Repeat("x", maxLabelBytes), "b": "kept", labelPodName: "p"}}.tidy()
	if len(m.Labels) != 2 || m.Labels["b"] != "kept" || m.PodName != "p" {
		t.Errorf("%d labels, pod %q", len(m.Labels), m.PodName)
	}
}

func BenchmarkForCgroup(b *testing.B) {
	table := newTestTable(b, Options{})
	for id := range uint64(100) {
		table.CgroupMade(id+2, fmt.Sprintf("/docker/%064x", id))
	}
	b.ReportAllocs()
	id := uint64(0)
	for b.Loop() {
		id = (id + 1) % 100
		if table.ForCgroup(id+2) == nil {
			b.Fatal("lost")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	path := "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uid_ + ".slice/cri-containerd-" + hexA + ".scope"
	b.ReportAllocs()
	for b.Loop() {
		Parse(path)
	}
}
