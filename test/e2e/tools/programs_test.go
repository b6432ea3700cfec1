// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These need programs of the host that use its libraries.
var programTrials = []trial{
	{name: "gethostlatency", all: true, generate: func(g *generator) {
		for i := range 4 {
			host := fmt.Sprintf("127.77.0.%d", i+1) // looked up without asking anybody
			g.check(exec.Command("getent", "ahosts", host).Run())
			g.Texts["hosts"] = append(g.Texts["hosts"], host)
		}
	}, check: func(t *testing.T, o *outcome) {
		found := o.where(func(r row) bool { return strings.HasPrefix(r.text("name"), "127.77.0.") })
		same(t, "names", texts(found, "name"), o.Texts["hosts"])
		for _, r := range found {
			within(t, "latency", r.number("latency"), 1, o.took.Microseconds())
		}
	}},
	{name: "memleak", all: true, flags: []string{"--comm", "skep-leaker"}, generate: func(g *generator) {
		g.Numbers["bytes"] = 7*100_001 + 3*200_003 + 300_007
		out, err := exec.Command("python3", "-c", leaker).CombinedOutput()
		if err != nil {
			panic(fmt.Sprintf("%v: %s", err, out))
		}
	}, check: func(t *testing.T, o *outcome) {
		largest := int64(0)
		for _, r := range o.maps["@bytes"] {
			largest = max(largest, r.number("bytes"))
		}
		is(t, "bytes that leaked", o.sum("@bytes", func(r row) bool { return r.number("bytes") > 100_000 }), o.Numbers["bytes"])
	}},
	{name: "bashreadline", all: true, generate: func(g *generator) {
		typed := []string{"echo skep-one", "true  # skep-two", "exit 0"}
		c, terminal := onTerminal(g, "bash", "--norc", "--noprofile", "-i")
		for _, line := range typed {
			fmt.Fprintf(terminal, "%s\n", line)
		}
		io.Copy(io.Discard, terminal)
		g.check(ignoreStatus(c.Wait()))
		for _, line := range typed {
			g.Texts["typed"] = append(g.Texts["typed"], fmt.Sprintf("%d %s", c.Process.Pid, line))
		}
	}, check: func(t *testing.T, o *outcome) {
		pid, _, _ := strings.Cut(o.Texts["typed"][0], " ")
		same(t, "commands", texts(o.where(func(r row) bool { return fmt.Sprint(r["pid"]) == pid }), "pid", "command"), o.Texts["typed"])
	}},
	{name: "sslsniff", all: true, flags: []string{"--comm", "openssl"}, generate: encrypt, check: func(t *testing.T, o *outcome) {
		of := func(call, data string) int64 {
			return int64(len(o.where(func(r row) bool {
				return r.text("call") == call && strings.Contains(r.text("data"), data) && r.number("length") == int64(len("skep asks 1\n"))
			})))
		}
		for i := range 3 {
			is(t, "questions written", of("write", fmt.Sprintf("skep asks %d", i)), 1)
			is(t, "questions read", of("read", fmt.Sprintf("skep asks %d", i)), 1)
		}
	}},
	{name: "sslsniff ex", all: true, generate: encryptEx, check: func(t *testing.T, o *outcome) {
		said := texts(o.where(func(r row) bool { return strings.HasPrefix(r.text("comm"), "python") }), "call", "length", "data")
		same(t, "python's", said, []string{"write 10 skep asks\\x0a", "read 10 sksa peks\\x0a"})
	}},
}

// leaker allocates blocks of known sizes through the C library, and frees some.
const leaker = `
import ctypes
open('/proc/self/comm', 'w').write('skep-leaker')
c = ctypes.CDLL(None)
for f in (c.malloc, c.calloc, c.realloc):
    f.restype = ctypes.c_void_p
c.malloc.argtypes = [ctypes.c_size_t]
c.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
c.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
c.free.argtypes = [ctypes.c_void_p]
for i in range(7): c.malloc(100001)
for i in range(9): c.free(c.malloc(100001))
for i in range(3): c.calloc(1, 200003)
for i in range(2): c.free(c.calloc(1, 200003))
c.realloc(c.malloc(150001), 300007)
`

// onTerminal starts a program on a terminal of its own, of which it returns the other end.
func onTerminal(g *generator, program string, args ...string) (*exec.Cmd, *os.File) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	g.check(err)
	g.check(unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	g.check(err)
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	g.check(err)
	defer tty.Close()
	c := exec.Command(program, args...)
	c.Env = append(os.Environ(), "TERM=dumb", "HISTFILE=")
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	g.check(c.Start())
	return c, terminal
}

// encrypt sends three lines from one openssl to another.
func encrypt(g *generator) {
	port, lines := server(g)
	client := exec.Command("openssl", "s_client", "-quiet", "-connect", fmt.Sprint("127.0.0.1:", port))
	in, err := client.StdinPipe()
	g.check(err)
	g.check(client.Start())
	defer client.Process.Kill()
	for i := range 3 {
		fmt.Fprintf(in, "skep asks %d\n", i)
		line, err := lines.ReadString('\n')
		g.check(err)
		if want := fmt.Sprintf("skep asks %d\n", i); line != want {
			panic(line)
		}
	}
}

// encryptEx does so with a program that uses the newer functions, and is answered.
func encryptEx(g *generator) {
	port, _ := server(g, "-rev")
	const program = "import socket, ssl, sys\nwith ssl._create_unverified_context().wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1])))) as s:\n" +
		"    s.sendall(b'skep asks\\n')\n    print(s.recv(100).decode(), end='')"
	out, err := exec.Command("python3", "-c", program, fmt.Sprint(port)).Output()
	if err != nil || string(out) != "sksa peks\n" {
		panic(fmt.Sprintf("%q, %v", out, err))
	}
}

// server is an openssl that takes one connection, and what it says.
func server(g *generator, flags ...string) (port int, lines *bufio.Reader) {
	certificate(g)
	port = freePort(g)
	c := exec.Command("openssl", append([]string{"s_server", "-quiet", "-accept", fmt.Sprint("127.0.0.1:", port), "-naccept", "1",
		"-cert", g.Dir + "/cert", "-key", g.Dir + "/key"}, flags...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	heard, err := c.StdoutPipe()
	g.check(err)
	_, err = c.StdinPipe() // which is open as long as this process lives
	g.check(err)
	g.check(c.Start())
	awaitListener(g, port)
	return port, bufio.NewReader(heard)
}

// certificate writes one of this host's own, and its key.
func certificate(g *generator) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.check(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	g.check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	g.check(err)
	g.check(os.WriteFile(g.Dir+"/cert", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	g.check(os.WriteFile(g.Dir+"/key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}
