// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/miekg/dns"
)

// nameServer answers on loopback that no name exists.
type nameServer struct{ addr string }

// startNameServer listens on port 53, where skep looks, of an address that nobody else has.
func startNameServer(t *testing.T) nameServer {
	t.Helper()
	addr := fmt.Sprintf("127.%d.%d.%d", 64+rand.IntN(128), rand.IntN(256), 1+rand.IntN(254))
	conn, err := net.ListenPacket("udp4", addr+":53")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg)
		answer.SetRcode(q, dns.RcodeNameError)
		_ = w.WriteMsg(answer)
	})}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return nameServer{addr}
}

// ask asks as this process.
func (s nameServer) ask(name string) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.addr+":53")
	}}
	_, err := resolver.LookupHost(context.Background(), name+".")
	var refused *net.DNSError
	if errors.As(err, &refused) && refused.IsNotFound {
		return nil
	}
	return fmt.Errorf("%s was to be unknown: %w", name, err)
}
