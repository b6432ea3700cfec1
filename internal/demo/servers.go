// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/net/dns/dnsmessage"
)

// Whom the scenes talk to: addresses and names that belong to nobody (RFC 5737, RFC 2606).
const (
	own        = "192.0.2.10"
	attacker   = "203.0.113.66"
	pool       = "203.0.113.77"
	nameServer = "203.0.113.53"

	poolName    = "pool.miner.example"
	missingName = "backup.storage.example"
	silentName  = "licence.vendor.example"
)

const (
	// typed is what the attacker types.
	typed = "id\nexit\n"
	// accepted is the pool's answer to each share.
	accepted = `{"result":true,"error":null}` + "\n"
)

// resolver asks the stage's own server only.
var resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
	return dial(ctx, "udp", nameServer, "53")
}}

// dial connects from the address that is the container's own.
func dial(ctx context.Context, network, host, port string) (net.Conn, error) {
	var local net.Addr = &net.TCPAddr{IP: net.ParseIP(own)}
	if network == "udp" {
		local = &net.UDPAddr{IP: net.ParseIP(own)}
	}
	return (&net.Dialer{LocalAddr: local}).DialContext(ctx, network, net.JoinHostPort(host, port))
}

// serve starts those who are talked to.
func serve() error {
	if err := listen(attacker+":4444", func(c net.Conn) {
		_, _ = io.WriteString(c, typed)
		_, _ = io.Copy(io.Discard, c)
	}); err != nil {
		return err
	}
	if err := listen(pool+":3333", func(c net.Conn) {
		for shares := bufio.NewScanner(c); shares.Scan(); {
			_, _ = io.WriteString(c, accepted)
		}
	}); err != nil {
		return err
	}
	return serveNames()
}

func listen(address string, handle func(net.Conn)) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	return nil
}

func serveNames() error {
	c, err := net.ListenPacket("udp", nameServer+":53")
	if err != nil {
		return err
	}
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			answer, err := answerTo(buffer[:n])
			if err != nil {
				fmt.Fprintln(os.Stderr, "skep demo: name server:", err)
			}
			if len(answer) > 0 {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
	return nil
}

// answerTo knows the pool, answers nothing for the silent name, and knows no other.
func answerTo(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := p.Question()
	if err != nil {
		return nil, err
	}
	name := question.Name.String()
	if name == silentName+"." {
		return nil, nil
	}
	header.Response, header.RecursionAvailable = true, true
	message := dnsmessage.Message{Header: header, Questions: []dnsmessage.Question{question}}
	if name == poolName+"." {
		message.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: 60},
			Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(pool).To4())},
		}}
	} else {
		message.RCode = dnsmessage.RCodeNameError
	}
	return message.Pack()
}
