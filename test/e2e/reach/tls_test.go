// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// authority signs certificates into files of the network: NAME.pem and NAME.key.
type authority struct {
	n    *network
	name string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (n *network) authority(name string) *authority {
	n.t.Helper()
	a := &authority{n: n, name: name}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = a.sign(name, a.cert)
	return a
}

func (a *authority) sign(file string, c *x509.Certificate) *ecdsa.PrivateKey {
	a.n.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.n.t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), signer)
	if err != nil {
		a.n.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.n.t.Fatal(err)
	}
	a.n.write(file+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	a.n.write(file+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	if err := os.Chmod(a.n.path(file+".key"), 0o600); err != nil {
		a.n.t.Fatal(err)
	}
	return key
}

func (a *authority) issue(file, name string, end time.Duration) {
	a.n.t.Helper()
	a.sign(file, &x509.Certificate{
		SerialNumber: big.NewInt(0xcafe), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(end),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
}

// listeningAgent has a listener on TCP; it returns the agent and host:port.
func (n *network) listeningAgent() (*skepdtest.Agent, string) {
	n.t.Helper()
	a := skepdtest.Start(n.t, "--config", skepdtest.WriteConfig(n.t, fmt.Sprintf(
		"listen: {address: '127.0.0.1:0', cert: %s, key: %s, client_ca: %s, users: [root, daemon]}\nroles: {view_group: daemon}\n",
		n.path("agent.pem"), n.path("agent.key"), n.path("ca.pem"))))
	m := regexp.MustCompile(`served over TCP" address=(\S+)`).FindStringSubmatch(a.Log())
	if m == nil {
		n.t.Fatalf("the log does not say where it listens:\n%s", a.Log())
	}
	return a, m[1]
}

func (n *network) certificate(file string) []string {
	return []string{"--cert", n.path(file + ".pem"), "--key", n.path(file + ".key"), "--ca", n.path("ca.pem")}
}

// An agent on TCP takes those whose certificate names an account with a role;
// it and a host by ssh answer as one.
func TestCertificates(t *testing.T) {
	n := newNetwork(t)
	ca, other := n.authority("ca"), n.authority("other")
	ca.issue("agent", "agent", time.Hour)
	ca.issue("root", "root", time.Hour)
	ca.issue("daemon", "daemon", time.Hour)
	ca.issue("late", "root", -time.Minute)
	ca.issue("bin", "bin", time.Hour)
	other.issue("stranger", "root", time.Hour)
	a, address := n.listeningAgent()
	n.agentHost("alpha", a)
	host := "https://" + address

	both := n.skep(append(n.certificate("daemon"), "-H", host, "-H", "ssh://alpha", "whoami", "-o", "json")...)
	roles := map[string]string{}
	for _, got := range both.answers(t) {
		roles[got.Host] = got.User + " " + got.Role
	}
	if both.code != 0 || len(roles) != 2 || roles[host] != "daemon view" || roles["alpha"] != "root admin" {
		t.Errorf("%+v", both)
	}
	l := n.follow(append(n.certificate("root"), "-H", host, "observe", "-f", "--last", "0", "--kind", "exec,exit", "-o", "json")...)
	n.awaitLive(l, host)
	pid := marker(t)
	l.await("a record over TCP", &l.stdout, isRecord(host, "exit", pid))
	if code := l.interrupt(); code != 0 {
		t.Errorf("exit code %d: %q", code, l.lines(&l.stderr))
	}
	for file, want := range map[string]string{"late": "expired certificate", "bin": "bad certificate", "stranger": "unknown certificate authority"} {
		r := n.skep(append(n.certificate(file), "-H", host, "ps")...)
		if r.code != 4 || r.stdout != "" || !strings.Contains(r.stderr, "skep: "+host+": ") || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: %+v, want %q", file, r, want)
		}
	}
	wrong := n.skep("--cert", n.path("root.pem"), "--key", n.path("root.key"), "--ca", n.path("other.pem"), "-H", host, "ps")
	if wrong.code != 3 || !strings.Contains(wrong.stderr, "unknown authority") {
		t.Errorf("an agent that is not trusted: %+v", wrong)
	}
	audit := read(t, filepath.Join(a.Dir, "data", "audit.log"))
	wantLine(t, audit, "{", `"user":"daemon","role":"view"`, `"method":"GetIdentity"`, `"certificate":"cafe"`, `"address":"127.0.0.1:`)
	if !strings.Contains(a.Log(), `certificate of \"bin\": not in listen.users`) {
		t.Errorf("the log does not say why:\n%s", a.Log())
	}
	testCurl(t, n, host)
}

// testCurl is the same with a client that knows nothing of skep, in both versions of HTTP.
func testCurl(t *testing.T, n *network, host string) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	curl := func(args ...string) (string, error) {
		args = append([]string{"--silent", "--show-error", "--max-time", "60", "--cacert", n.path("ca.pem"), "-H", "Content-Type: application/json", "-d", "{}",
			host + "/skep.v1.AgentService/GetIdentity"}, args...)
		out, err := exec.Command("curl", args...).CombinedOutput()
		return string(out), err
	}
	mine := []string{"--cert", n.path("daemon.pem"), "--key", n.path("daemon.key")}
	for _, version := range []string{"--http1.1", "--http2"} {
		out, err := curl(append(mine, version)...)
		if text := strings.ReplaceAll(out, " ", ""); err != nil || !strings.Contains(text, `"user":"daemon"`) || !strings.Contains(text, `"role":"ROLE_VIEW"`) {
			t.Errorf("curl %s: %v: %s", version, err, out)
		}
	}
	if out, err := curl(); err == nil || !strings.Contains(out, "certificate required") {
		t.Errorf("curl without a certificate: %v: %s", err, out)
	}
	if out, err := curl(append(mine, "--tls-max", "1.2")...); err == nil {
		t.Errorf("curl with TLS 1.2: %s", out)
	}
}

// An agent that would listen without all that it takes does not start.
func TestIncompleteListener(t *testing.T) {
	n := newNetwork(t)
	ca := n.authority("ca")
	ca.issue("agent", "agent", time.Hour)
	for yaml, want := range map[string]string{
		"address: '127.0.0.1:0'": "needs cert, key, client_ca and users",
		fmt.Sprintf("address: '127.0.0.1:0', cert: %s, key: %s, users: [root]", n.path("agent.pem"), n.path("agent.key")):                                   "needs cert, key, client_ca and users",
		fmt.Sprintf("address: '127.0.0.1:0', cert: %s, key: %s, client_ca: /none, users: [root]", n.path("agent.pem"), n.path("agent.key")):                 "read the authorities of clients: open /none: no such file",
		fmt.Sprintf("address: '127.0.0.1:0', cert: %s, key: %s, client_ca: %s, users: [root]", n.path("agent.pem"), n.path("ca.key"), n.path("ca.pem")):     "private key does not match",
		fmt.Sprintf("address: '127.0.0.1:0', cert: %s, key: %s, client_ca: %s, users: ['a b']", n.path("agent.pem"), n.path("agent.key"), n.path("ca.pem")): "must be the name of a user",
		fmt.Sprintf("address: 'everywhere', cert: %s, key: %s, client_ca: %s, users: [root]", n.path("agent.pem"), n.path("agent.key"), n.path("ca.pem")):   "must be an address and port",
	} {
		config := skepdtest.WriteConfig(t, "listen: {"+yaml+"}\n")
		c := exec.Command(skepdtest.Build(t, "skepd"), "run", "--private", "--config", config, "--socket", n.path("s"), "--data-dir", n.path("data"))
		timer := time.AfterFunc(skepdtest.Patience, func() { c.Process.Kill() })
		out, err := c.CombinedOutput()
		timer.Stop()
		if err == nil || c.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v: %s, want %q", yaml, err, out, want)
		}
	}
}
