// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
)

// patience bounds every wait of these tests.
const patience = 60 * time.Second

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, next: 0xabc000}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue makes a certificate for a client or, with a host, for an agent.
func (a *authority) issue(name string, change ...func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	a.next++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	for _, f := range change {
		f(template)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func forAgents(c *x509.Certificate) {
	c.ExtKeyUsage, c.IPAddresses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []net.IP{net.IPv4(127, 0, 0, 1)}
}

func (a *authority) writeTo(path string) {
	writePEM(a.t, path, 0o644, "CERTIFICATE", a.cert.Raw)
}

func writePEM(t *testing.T, path string, mode os.FileMode, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		t.Fatal(err)
	}
}

// tlsAgent is an agent on TCP too. Its files lie in dir.
type tlsAgent struct {
	*agent
	authority *authority
	dir       string
	address   string
}

func tlsOptions(t *testing.T, a *authority) TLSOptions {
	t.Helper()
	dir := t.TempDir()
	o := TLSOptions{Address: "127.0.0.1:0", Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), ClientCA: filepath.Join(dir, "ca"),
		Users: []string{"root", "daemon", "no-such-account"}}
	cert := a.issue("agent", forAgents)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, o.Cert, 0o644, "CERTIFICATE", cert.Certificate[0])
	writePEM(t, o.Key, 0o600, "PRIVATE KEY", key)
	a.writeTo(o.ClientCA)
	return o
}

func startTLSAgent(t *testing.T, change ...func(*Deps)) *tlsAgent {
	t.Helper()
	a := &tlsAgent{agent: newAgent(t, change...), authority: newAuthority(t)}
	o := tlsOptions(t, a.authority)
	a.dir = filepath.Dir(o.Cert)
	l, err := ListenTLS(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return a
}

// client speaks HTTP/2 with a certificate, or none.
func (a *tlsAgent) client(change ...func(*tls.Config)) skepv1connect.AgentServiceClient {
	roots := x509.NewCertPool()
	roots.AddCert(a.authority.cert)
	config := &tls.Config{RootCAs: roots}
	for _, f := range change {
		f(config)
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	a.authority.t.Cleanup(transport.CloseIdleConnections)
	return skepv1connect.NewAgentServiceClient(&http.Client{Transport: transport}, "https://"+a.address)
}

// shake is a handshake and the first read after it, where TLS 1.3 tells a client
// what the agent thinks of its certificate.
func (a *tlsAgent) shake(change func(*tls.Config)) error {
	roots := x509.NewCertPool()
	roots.AddCert(a.authority.cert)
	config := &tls.Config{RootCAs: roots}
	change(config)
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", a.address, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

func with(cert tls.Certificate) func(*tls.Config) {
	return func(c *tls.Config) {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
}

func TestCertificateIsAnAccount(t *testing.T) {
	account, err := user.Lookup("daemon")
	if err != nil {
		t.Fatal(err)
	}
	a := startTLSAgent(t, func(d *Deps) { d.Roles.ViewGroup = account.Gid })
	root, err := a.client(with(a.authority.issue("root"))).GetIdentity(t.Context(), &skepv1.GetIdentityRequest{})
	if err != nil || root.GetUid() != 0 || root.GetRole() != skepv1.Role_ROLE_ADMIN {
		t.Errorf("root: %v, %v", root, err)
	}
	daemon := a.client(with(a.authority.issue("daemon", func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0xbeef) })))
	got, err := daemon.GetIdentity(t.Context(), &skepv1.GetIdentityRequest{})
	if err != nil || fmt.Sprint(got.GetUid()) != account.Uid || got.GetUser() != "daemon" || got.GetRole() != skepv1.Role_ROLE_VIEW {
		t.Errorf("daemon: %v, %v", got, err)
	}
	if _, err := daemon.CreateToken(t.Context(), &skepv1.CreateTokenRequest{Role: skepv1.Role_ROLE_ADMIN}); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("daemon asks for an admin's token: %v", err)
	}
	line := a.audit.find(t, `"method":"GetIdentity"`, `"user":"daemon"`)
	for _, want := range []string{`"uid":` + account.Uid, `"role":"view"`, `"peer_uid":` + account.Uid, `"pid":0`, `"address":"127.0.0.1:`, `"certificate":"beef"`} {
		if !strings.Contains(line, want) {
			t.Errorf("the audit log has no %s: %s", want, line)
		}
	}
}

func (l *lines) find(t *testing.T, parts ...string) string {
	t.Helper()
	for line := range strings.Lines(l.text()) {
		found := true
		for _, p := range parts {
			found = found && strings.Contains(line, p)
		}
		if found {
			return line
		}
	}
	t.Fatalf("no line with %q in:\n%s", parts, l.text())
	return ""
}

// An account without a role is told so, as on the socket.
func TestCertificateWithoutARole(t *testing.T) {
	a := startTLSAgent(t)
	_, err := a.client(with(a.authority.issue("daemon"))).GetStatus(t.Context(), &skepv1.GetStatusRequest{})
	if connect.CodeOf(err) != connect.CodePermissionDenied || !strings.Contains(err.Error(), "this needs role view, daemon (uid ") {
		t.Error(err)
	}
}

func TestCertificatesThatAreRefused(t *testing.T) {
	a := startTLSAgent(t)
	other := newAuthority(t)
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	early := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }
	refused := uint64(0)
	for name, c := range map[string]struct {
		change func(*tls.Config)
		want   string
	}{
		"none":             {func(*tls.Config) {}, "certificate required"},
		"other authority":  {with(other.issue("root")), "unknown certificate authority"},
		"expired":          {with(a.authority.issue("root", past)), "expired certificate"},
		"not yet":          {with(a.authority.issue("root", early)), "expired certificate"},
		"an agent's":       {with(a.authority.issue("root", forAgents)), "bad certificate"},
		"not listed":       {with(a.authority.issue("bin")), "bad certificate"},
		"no name":          {with(a.authority.issue("")), "bad certificate"},
		"no account":       {with(a.authority.issue("no-such-account")), "bad certificate"},
		"TLS 1.2":          {func(c *tls.Config) { with(a.authority.issue("root"))(c); c.MaxVersion = tls.VersionTLS12 }, "protocol version"},
		"name in the SANs": {with(a.authority.issue("x", func(c *x509.Certificate) { c.DNSNames = []string{"root"} })), "bad certificate"},
	} {
		err := a.shake(c.change)
		refused++
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	waitFor(t, "all refusals to be counted", func() bool { return a.tls.Load().refused.Load() >= refused })
	if text := a.audit.text(); text != "" {
		t.Errorf("a call got through: %s", text)
	}
	if err := a.shake(with(a.authority.issue("root"))); err != nil {
		t.Errorf("a good certificate: %v", err)
	}
}

// What replaces the files is in force for the next connection.
func TestCertificatesAreReadAgain(t *testing.T) {
	a := startTLSAgent(t)
	ask := func(c *authority) error {
		_, err := a.client(with(c.issue("root"))).GetIdentity(t.Context(), &skepv1.GetIdentityRequest{})
		return err
	}
	next := newAuthority(t)
	if ask(a.authority) != nil || ask(next) == nil {
		t.Fatal("the wrong authority counts")
	}
	next.writeTo(filepath.Join(a.dir, "ca"))
	if err := ask(next); err != nil {
		t.Errorf("the new authority: %v", err)
	}
	if ask(a.authority) == nil {
		t.Error("the old authority still counts")
	}
	os.Remove(filepath.Join(a.dir, "key"))
	if ask(next) == nil {
		t.Error("there is no key, and a connection")
	}
}

// A stream ends with the certificate that began it.
func TestStreamEndsWithItsCertificate(t *testing.T) {
	a := startTLSAgent(t)
	soon := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(8 * time.Second) } // certificates have whole seconds
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := a.client(with(a.authority.issue("root", soon))).Observe(ctx, &skepv1.ObserveRequest{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.Receive() || !s.Msg().GetLive() {
		t.Fatalf("no stream: %v", s.Err())
	}
	if s.Receive() || s.Err() == nil || ctx.Err() != nil {
		t.Errorf("it goes on, or ends well: %v, %v", s.Err(), ctx.Err())
	}
}

// Who says nothing keeps nobody waiting, and is gone after a while.
func TestSilentConnections(t *testing.T) {
	a := startTLSAgent(t)
	var silent []net.Conn
	for range 10 {
		c, err := net.Dial("tcp", a.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	if _, err := a.client(with(a.authority.issue("root"))).GetIdentity(t.Context(), &skepv1.GetIdentityRequest{}); err != nil {
		t.Error(err)
	}
	for _, c := range silent {
		c.SetReadDeadline(time.Now().Add(patience))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("a silent one is still there: %d, %v", n, err)
		}
	}
}

func TestListenTLSRefuses(t *testing.T) {
	good := newAuthority(t)
	for name, c := range map[string]struct {
		change func(*TLSOptions)
		want   string
	}{
		"no certificate": {func(o *TLSOptions) { o.Cert = "" }, "are all needed"},
		"no key":         {func(o *TLSOptions) { o.Key = "" }, "are all needed"},
		"no authority":   {func(o *TLSOptions) { o.ClientCA = "" }, "are all needed"},
		"nobody":         {func(o *TLSOptions) { o.Users = nil }, "are all needed"},
		"missing file":   {func(o *TLSOptions) { o.Cert += "-none" }, "no such file"},
		"missing key":    {func(o *TLSOptions) { o.Key += "-none" }, "no such file"},
		"open key":       {func(o *TLSOptions) { os.Chmod(o.Key, 0o644) }, "make it 0600"},
		"other key":      {func(o *TLSOptions) { o.Key = tlsOptions(t, good).Key }, "private key does not match"},
		"no PEM":         {func(o *TLSOptions) { os.WriteFile(o.ClientCA, []byte("x"), 0o600) }, "no certificate in PEM"},
		"bad address":    {func(o *TLSOptions) { o.Address = "192.0.2.1:99999" }, "set listen.address in skep.yaml to another"},
	} {
		o := tlsOptions(t, good)
		c.change(&o)
		if l, err := ListenTLS(o, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want %q", name, l, err, c.want)
		}
	}
}
