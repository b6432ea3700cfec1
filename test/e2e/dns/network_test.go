// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// space is the network namespace of all that happens here, and only here.
var space = fmt.Sprint("skep-e2e-dns-", os.Getpid())

// deafPort is an upstream server that never answers.
const deafPort = "5399"

// serverOptions make dnsmasq answer from itself: it forwards nothing but deaf.test.
var serverOptions = []string{
	"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-poll", "--log-facility=-", "--pid-file=",
	"--user=root", "--port=53", "--listen-address=127.0.0.1,::1", "--bind-interfaces", "--local-ttl=90", "--cache-size=0", "--dns-forward-max=10000",
	"--address=/a.test/10.1.2.3", "--address=/a.test/2001:db8::1:2:3", "--local=/nx.test/",
	"--server=/deaf.test/127.0.0.9#" + deafPort,
	"--host-record=web.test,127.0.0.1", "--host-record=host.test,10.9.8.7,2001:db8::9,77", "--cname=alias.test,host.test",
	"--mx-host=mail.test,host.test,10", "--srv-host=_sip._udp.srv.test,host.test,5060,1,2", "--txt-record=text.test,a \"quoted\" text,second",
	"--ptr-record=3.2.1.10.in-addr.arpa,a.test", "--caa-record=caa.test,0,issue,ca.test",
}

// newNetwork makes the namespace with a server in it.
func newNetwork(t *testing.T) {
	t.Helper()
	need(t, "ip", "dnsmasq", "python3")
	undo := func() {
		exec.Command("ip", "netns", "del", space).Run()
		os.RemoveAll(resolvDir)
	}
	undo()
	t.Cleanup(undo)
	run(t, "ip", "netns", "add", space)
	run(t, "ip", "-n", space, "link", "set", "lo", "up")
	// What ip netns exec mounts over /etc/resolv.conf.
	if err := os.MkdirAll(resolvDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(resolvDir, "resolv.conf"), []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	server := inside(t, "dnsmasq", serverOptions...)
	log := &bytes.Buffer{}
	server.Stdout, server.Stderr = log, log
	background(t, server)
	waitFor(t, "dnsmasq to listen", func() bool {
		out, err := exec.Command("ip", "netns", "exec", space, "ss", "-lnH", "sport", "=", "53").Output()
		return err == nil && bytes.Count(out, []byte("\n")) >= 4
	})
	listenDeaf(t)
}

var resolvDir = "/etc/netns/" + space

func need(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces and loads BPF programs")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: %v", p, err)
		}
	}
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// inside is a command in the namespace. It keeps its process id.
func inside(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command("ip", append([]string{"netns", "exec", space, program}, args...)...)
}

// ask runs a client in the namespace to its end, and returns its process id and output.
func ask(t *testing.T, program string, args ...string) (pid uint32, out string) {
	t.Helper()
	c := inside(t, program, args...)
	text, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, text)
	}
	return uint32(c.Process.Pid), string(text)
}

func background(t *testing.T, c *exec.Cmd) {
	t.Helper()
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		c.Wait()
	})
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(skepdtest.Patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// within runs f on a thread in the namespace, which ends with it.
func within(t *testing.T, f func() error) {
	t.Helper()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		ns, err := os.Open("/run/netns/" + space)
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		if err == nil {
			err = f()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

func listenDeaf(t *testing.T) {
	within(t, func() error {
		deaf, err := net.ListenPacket("udp4", "127.0.0.9:"+deafPort)
		if err == nil {
			t.Cleanup(func() { deaf.Close() })
		}
		return err
	})
}

func netnsInode(t *testing.T) uint32 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat("/run/netns/"+space, &stat); err != nil {
		t.Fatal(err)
	}
	return uint32(stat.Ino)
}

// capture runs tcpdump in the namespace; the function ends it and returns its file.
func capture(t *testing.T) (stop func() string) {
	t.Helper()
	need(t, "tcpdump", "tshark")
	file := filepath.Join(t.TempDir(), "dns.pcap")
	c := inside(t, "tcpdump", "-i", "lo", "--immediate-mode", "-U", "-s", "0", "-B", "16384", "--nano", "-Z", "root", "-w", file, "port 53")
	log := &bytes.Buffer{}
	c.Stderr = log
	background(t, c)
	waitFor(t, "tcpdump to listen", func() bool { info, err := os.Stat(file); return err == nil && info.Size() >= 24 })
	return func() string {
		time.Sleep(500 * time.Millisecond) // for what is in its buffer
		c.Process.Signal(syscall.SIGINT)
		c.Wait()
		if !strings.Contains(log.String(), "\n0 packets dropped by kernel") {
			t.Fatalf("tcpdump lost packets:\n%s", log.String())
		}
		return file
	}
}
