// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// TestNginx: a master listens and its workers accept: each record is the one's who did it,
// as nginx itself says in its log.
func TestNginx(t *testing.T) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		t.Skipf("needs nginx: %v", err)
	}
	const requests = 40
	h := newPrivateHouse(t)
	a := h.start()
	s := a.observe("listen", "accept", "close")
	dir := t.TempDir()
	address := freeAddress(t)
	config := fmt.Sprintf(`
daemon off; master_process on; worker_processes 2; user root; pid %[1]s/pid; error_log stderr;
events { worker_connections 64; }
http {
	log_format who '$pid $remote_port $bytes_sent'; access_log %[1]s/log who;
	server { listen %[2]s; location / { return 200 'hello'; } }
}`, dir, address)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	master := exec.Command(path, "-p", dir, "-c", filepath.Join(dir, "conf"))
	master.Stderr = t.Output()
	start(t, master)
	defer master.Process.Signal(syscall.SIGTERM)
	_, port, _ := net.SplitHostPort(address)
	s.find("the master's listener", func(r *skepv1.Record) bool {
		return r.Kind == "listen" && fmt.Sprint(r.GetConnection().GetLocal().GetPort()) == port && r.Process.GetPid() == uint32(master.Process.Pid)
	})
	get := func() {
		// A connection each.
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + address)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if text, err := io.ReadAll(response.Body); err != nil || string(text) != "hello" {
			t.Fatalf("%q, %v", text, err)
		}
	}
	for range requests {
		get()
	}
	master.Process.Signal(syscall.SIGQUIT) // the log is whole when it has ended
	done := make(chan error, 1)
	go func() { done <- master.Wait() }()
	select {
	case <-done:
	case <-time.After(skepdtest.Patience):
		t.Fatal("nginx does not end")
	}
	text, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	worker, sent := map[string]uint64{}, map[string]uint64{} // by the client's port
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		worker[f[1]], _ = strconv.ParseUint(f[0], 10, 32)
		sent[f[1]], _ = strconv.ParseUint(f[2], 10, 64)
	}
	if len(worker) != requests {
		t.Fatalf("nginx has logged %d requests, want %d:\n%s", len(worker), requests, text)
	}
	for _, kind := range []string{"accept", "close"} {
		within(t, skepdtest.Patience, kind+" of all", func() error {
			got := 0
			for _, r := range s.all() {
				c := r.GetConnection()
				if r.Kind != kind || c.GetDirection() != "inbound" || fmt.Sprint(c.GetLocal().GetPort()) != port {
					continue
				}
				got++
				peer := fmt.Sprint(c.GetRemote().GetPort())
				if r.Process.GetPid() != uint32(worker[peer]) || r.Process.GetPpid() != uint32(master.Process.Pid) {
					t.Fatalf("%s from port %s by %v, nginx says worker %d", kind, peer, r.Process, worker[peer])
				}
				if kind == "close" && c.GetBytesSent() != sent[peer] {
					t.Fatalf("port %s: %d bytes sent, nginx says %d", peer, c.GetBytesSent(), sent[peer])
				}
			}
			if got != requests {
				return fmt.Errorf("%d of %d", got, requests)
			}
			return nil
		})
	}
	a.stop()
}
