// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/identity/cgroup"
)

const (
	session  = "/user.slice/user-1000.slice/user@1000.service"
	userland = "/docker/" + hexA // a container whose cgroup was given to its user namespace's root
	podOf    = "/kubepods/burstable/pod" + uid + "/" + hexB
)

// owned makes a table on a host where user 1000 owns a session and user 100000 the
// cgroup of a container.
func owned(t *testing.T) *Table {
	t.Helper()
	table := newTestTable(t, Options{})
	table.owner = func(p string) (uint32, bool) {
		for front, uid := range map[string]uint32{session: 1000, userland: 100000} {
			if p == front || len(p) > len(front) && p[:len(front)+1] == front+"/" {
				return uid, true
			}
		}
		return 0, true
	}
	return table
}

func (t *Table) at(id uint64) Container {
	if c := t.ForCgroup(id); c != nil {
		return *c
	}
	return Container{}
}

// TestClaims: what a user names his cgroups is believed where nobody is harmed.
func TestClaims(t *testing.T) {
	for _, c := range []struct{ name, path, want string }{
		{"rootless podman", session + "/user.slice/libpod-" + hexA + ".scope/container", hexA},
		{"rootless docker", session + "/user.slice/docker-" + hexB + ".scope", hexB},
		{"kind in rootless docker", session + "/user.slice/docker-" + hexA + ".scope/kubelet/kubepods/besteffort/pod" + uid + "/" + hexB, hexB},
		{"docker in docker", "/system.slice/docker-" + hexA + ".scope/docker/" + hexB, hexB},
		{"kind", "/docker/" + hexB + "/kubelet/kubepods/besteffort/pod" + uid + "/" + hexA, hexA},
		{"docker in a user namespace", userland + "/docker/" + hexB, hexB},
		{"its own cgroups", userland + "/init.scope", hexA},
		{"itself", userland, hexA},
	} {
		table := owned(t)
		table.CgroupMade(10, c.path)
		if got := table.at(10); got.ID != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestFalseClaims: nobody passes for a container or a pod that root has made, whichever
// comes first; what he calls so belongs to what it is in.
func TestFalseClaims(t *testing.T) {
	for _, c := range []struct{ name, path, unit, want string }{
		{"a session", session + "/docker-" + hexB + ".scope", "user@1000.service", ""},
		{"below", session + "/app.slice/x/docker/" + hexB + "/sub", "user@1000.service", ""},
		{"a container", userland + "/cri-containerd-" + hexB + ".scope", "", hexA},
		{"a pod, by the container's own id", userland + "/kubepods/besteffort/pod" + uid + "/docker-" + hexA + ".scope", "", hexA},
		{"a pod", session + "/kubepods/besteffort/pod" + uid + "/" + hexA[:60] + "0000", "user@1000.service", ""},
	} {
		for _, first := range []string{"the claim", "the container"} {
			table := owned(t)
			made := map[string]func(){
				"the claim":     func() { table.CgroupMade(10, c.path) },
				"the container": func() { table.CgroupMade(20, podOf) },
			}
			made[first]()
			delete(made, first)
			for _, then := range made {
				then()
			}
			if got := table.at(20); got.ID != hexB || got.PodUID != uid {
				t.Fatalf("the container itself: %+v", got)
			}
			if got := table.at(10); got.ID != c.want || got.PodUID != "" || c.unit != "" && got.Unit != c.unit {
				t.Errorf("%s, %s first: %+v", c.name, first, got)
			}
			if len(table.claims) != 0 {
				t.Errorf("%s: %d claims are left", c.name, len(table.claims))
			}
		}
	}
}

// TestClaimsEnd: what is counted is forgotten with the cgroups.
func TestClaimsEnd(t *testing.T) {
	table := owned(t)
	table.CgroupMade(10, session+"/docker-"+hexA+".scope")
	table.CgroupMade(20, podOf)
	if len(table.claims) != 1 || len(table.made) != 1 || len(table.madePods) != 1 {
		t.Fatalf("%v, %v, %v", table.claims, table.made, table.madePods)
	}
	for _, c := range []*cell{table.cells[10], table.cells[20]} {
		table.drop(c)
	}
	if len(table.claims)+len(table.made)+len(table.madePods) != 0 {
		t.Errorf("left: %v, %v, %v", table.claims, table.made, table.madePods)
	}
}

// TestClaimIsNotNamedByRoot: the name of a stopped container of root's is not given to
// whoever claims its id; a user's own runtime is asked about his.
func TestClaimIsNotNamedByRoot(t *testing.T) {
	f := newFake(t)
	f.mux.HandleFunc("/containers/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"Id":%q,"Name":"/web","Config":{"Image":"nginx:1"}}`, hexA)
	})
	mine := uint32(os.Getuid())
	if mine == 0 {
		mine = 1000
		if err := os.Chown(f.socket, 1000, 1000); err != nil {
			t.Fatal(err)
		}
	}
	r := NewResolver(ResolverOptions{Sockets: []Socket{{KindDocker, f.socket}}})
	if m, err := r.ask(context.Background(), ID{Runtime: Docker, ID: hexA, Owner: mine}); err != nil || m.Name != "web" {
		t.Errorf("own runtime: %+v, %v", m, err)
	}
	if m, err := r.ask(context.Background(), ID{Runtime: Docker, ID: hexA, Owner: mine + 1}); err == nil {
		t.Errorf("another's runtime: %+v", m)
	}
}

// TestClaimInTheKernel: a user to whom a real cgroup was given makes one in it that is
// called like a container.
func TestClaimInTheKernel(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it makes cgroups as another user")
	}
	h, err := cgroup.ChooseLive()
	if err != nil {
		t.Fatal(err)
	}
	top := filepath.Join(h.Mount, fmt.Sprintf("skep-claim-%d", os.Getpid()))
	dirs := []string{top, top + "/user@1000.service", top + "/docker-" + hexB + ".scope"}
	fake := dirs[1] + "/docker-" + hexB + ".scope"
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		defer syscall.Rmdir(dir)
	}
	if err := os.Chown(dirs[1], 1000, 1000); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread is another user's from here on, and ends
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 1000, 1000, 1000); errno != 0 {
			done <- errno
			return
		}
		done <- os.Mkdir(fake, 0o755)
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	defer syscall.Rmdir(fake)
	index := cgroup.NewIndex(h)
	table := NewTable(index, Options{Sockets: []Socket{}, RuncRoots: []string{}})
	if err := index.Scan(); err != nil {
		t.Fatal(err)
	}
	number := func(dir string) uint64 {
		var stat unix.Stat_t
		if err := unix.Stat(dir, &stat); err != nil {
			t.Fatal(err)
		}
		return stat.Ino
	}
	if got := table.at(number(fake)); got.ID != hexB {
		t.Errorf("alone: %+v", got) // the real one has not been looked at: nothing is known against it
	}
	if got := table.at(number(dirs[2])); got.ID != hexB {
		t.Errorf("the container: %+v", got)
	}
	if got := table.at(number(fake)); got.ID != "" || got.Unit != "user@1000.service" {
		t.Errorf("the claim: %+v", got)
	}
	table.sweep(time.Now())
}
