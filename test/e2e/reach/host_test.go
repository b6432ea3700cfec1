// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// network is what the hosts of one test share: the client's key and
// configuration, and the accounts that exist on the hosts.
type network struct {
	t      *testing.T
	dir    string
	config strings.Builder
}

// The accounts of the hosts besides root, by ids that this machine does not have.
const (
	viewerUID   = 61901
	strangerUID = 61902
)

func newNetwork(t *testing.T) *network {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
	for _, program := range []string{"ssh", "ssh-keygen", sshd} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s", filepath.Base(program))
		}
	}
	// sshd insists on it; where sshd is a service, systemd makes it.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "skep-reach-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // other users' logins read keys in it
		t.Fatal(err)
	}
	n := &network{t: t, dir: dir}
	n.key("client")
	n.write("passwd", fmt.Sprintf("\nviewer:x:%d:65534::/:/bin/sh\nstranger:x:%d:61902::/:/bin/sh\n", viewerUID, strangerUID))
	n.write("known_hosts", "")
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	// ssh finds its configuration by the account, not by $HOME.
	n.write("bin/ssh", "#!/bin/sh\nexec /usr/bin/ssh -F "+n.path("config")+" \"$@\"\n")
	if err := os.Chmod(n.path("bin/ssh"), 0o755); err != nil {
		t.Fatal(err)
	}
	return n
}

const sshd = "/usr/sbin/sshd" // it wants to be called by its whole path

func (n *network) path(name string) string { return filepath.Join(n.dir, name) }

func (n *network) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(n.path(name), []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// key makes a key pair and returns its public half.
func (n *network) key(name string) string {
	n.t.Helper()
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", n.path(name)).CombinedOutput(); err != nil {
		n.t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	public, err := os.ReadFile(n.path(name + ".pub"))
	if err != nil {
		n.t.Fatal(err)
	}
	return string(public)
}

// host is one that can be reached.
type host struct {
	network *network
	name    string

	mu       sync.Mutex
	sessions []*exec.Cmd
	conns    []net.Conn
}

// listen makes name an alias of a listener, each connection to which is served by serve.
func (n *network) listen(name string, serve func(*host, *net.TCPConn)) *host {
	n.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	h := &host{network: n, name: name}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(h, c.(*net.TCPConn)) })
		}
	})
	n.t.Cleanup(func() {
		l.Close()
		h.drop()
		all.Wait()
	})
	n.alias(name, l.Addr().(*net.TCPAddr).Port)
	return h
}

func (n *network) alias(name string, port int) {
	fmt.Fprintf(&n.config, "Host %s\n  HostName 127.0.0.1\n  Port %d\n  HostKeyAlias %s\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n  GlobalKnownHostsFile /dev/null\n",
		name, port, name, n.path("client"), n.path("known_hosts"))
	n.write("config", n.config.String())
}

// sshd makes a host with a real sshd. Its settings come before the others: the
// first of each counts.
func (n *network) sshd(name string, settings ...string) *host {
	n.t.Helper()
	public := n.key("host-" + name)
	known, err := os.OpenFile(n.path("known_hosts"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		n.t.Fatal(err)
	}
	_, err = known.WriteString(name + " " + public)
	if err := errors.Join(err, known.Close()); err != nil {
		n.t.Fatal(err)
	}
	n.write("sshd-"+name, strings.Join(append(settings,
		"HostKey "+n.path("host-"+name), "AuthorizedKeysFile "+n.path("client.pub"), "StrictModes no", "UsePAM no",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PidFile none", "LogLevel ERROR", ""), "\n"))
	return n.listen(name, (*host).login)
}

// agentHost is a host with an agent, and skep in its path.
func (n *network) agentHost(name string, a *skepdtest.Agent) *host {
	bin := filepath.Dir(skepdtest.Build(n.t, "skep"))
	return n.sshd(name, fmt.Sprintf("SetEnv PATH=%s:/usr/bin:/bin SKEP_SOCKET=%s", bin, a.Socket))
}

// login serves a connection by sshd, which sees the accounts of the network.
func (h *host) login(c *net.TCPConn) {
	f, err := c.File()
	c.Close()
	if err != nil {
		return // it has gone already
	}
	defer f.Close()
	n := h.network
	cmd := exec.Command("unshare", "--mount", "sh", "-c",
		`cat /etc/passwd "$1" > "$2.$$" && mount --bind "$2.$$" /etc/passwd && exec `+sshd+` -i -e -f "$3"`,
		"sh", n.path("passwd"), n.path("passwd-"+h.name), n.path("sshd-"+h.name))
	log, err := os.OpenFile(n.path("log-"+h.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer log.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	h.mu.Lock()
	err = cmd.Start()
	if err == nil {
		h.sessions = append(h.sessions, cmd)
	}
	h.mu.Unlock()
	if err == nil {
		_ = cmd.Wait() // the client sees how it ended
	}
}

// hold keeps a connection open and says nothing.
func (h *host) hold(c *net.TCPConn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = append(h.conns, c)
}

// drop cuts every session as a host does that loses its power.
func (h *host) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sessions {
		_ = syscall.Kill(-s.Process.Pid, syscall.SIGKILL) // it may have ended
	}
	for _, c := range h.conns {
		c.Close()
	}
	h.sessions, h.conns = nil, nil
}

// log is what sshd has said.
func (h *host) log() string {
	text, err := os.ReadFile(h.network.path("log-" + h.name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err.Error()
	}
	return string(text)
}
