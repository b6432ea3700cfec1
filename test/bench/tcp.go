// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

const tcpTotal = 5000

// tcpReport is what the workload did: the i-th connection carries i%1000+1 bytes one way
// and twice as many the other.
type tcpReport struct {
	Port  int
	Count int
	CPU   time.Duration
}

// measureTCP is promise 3: one connect, one accept and one close per end, with exact
// bytes, both ends linked.
func measureTCP(ctx context.Context, b *bench) (rs []result, err error) {
	a, err := b.startAgent(ctx, "--ephemeral")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	s, err := a.subscribe(ctx, "connect", "accept", "close", "listen")
	if err != nil {
		return nil, err
	}
	defer s.stop()
	count := tcpTotal / b.scale
	before, err := a.cpu()
	if err != nil {
		return nil, err
	}
	var report tcpReport
	if err := b.runWorkload(&report, "tcp", strconv.Itoa(count)); err != nil {
		return nil, err
	}
	records := s.until(3*time.Second, func(all []*skepv1.Record) bool { return len(ofPort(all, report.Port)) >= 4*count })
	after, err := a.cpu()
	if err != nil {
		return nil, err
	}
	f := checkTCP(ofPort(records, report.Port), report)
	return []result{
		{what: fmt.Sprintf("connect, accept and close records missing or too many, of %d connections", count), value: float64(f.counts), exact: true,
			note: f.note},
		{what: "close records with wrong bytes", value: float64(f.bytes), exact: true},
		{what: "close records not linked to the other end", value: float64(f.links), exact: true},
		{what: "agent's CPU per connection (4 records), one subscriber", value: float64((after - before).Nanoseconds()) / float64(count) / 1000,
			unit: "us", limit: -1},
	}, nil
}

func ofPort(records []*skepv1.Record, port int) []*skepv1.Record {
	var of []*skepv1.Record
	for _, r := range records {
		c := r.GetConnection()
		if c != nil && r.Kind != "listen" && (c.Local.GetPort() == uint32(port) || c.Remote.GetPort() == uint32(port)) {
			of = append(of, r)
		}
	}
	return of
}

type tcpFaults struct {
	counts, bytes, links int
	note                 string
}

// checkTCP checks each connection, which is known by the client's port.
func checkTCP(records []*skepv1.Record, report tcpReport) tcpFaults {
	var f tcpFaults
	kinds := map[string]int{}
	var sent, received uint64
	for _, r := range records {
		c := r.GetConnection()
		kinds[r.Kind]++
		if r.Kind != "close" {
			continue
		}
		kinds["close "+c.Direction]++
		if c.Peer.GetExecId() == "" || c.Peer.ExecId != r.Process.ExecId {
			f.links++ // both ends are in the workload's one process
		}
		if c.Direction == "outbound" {
			sent += c.BytesSent
			received += c.BytesReceived
			if c.BytesReceived != 2*c.BytesSent || c.BytesSent == 0 {
				f.bytes++
			}
		} else if c.BytesSent != 2*c.BytesReceived || c.BytesReceived == 0 {
			f.bytes++
		}
	}
	var wantSent uint64
	for i := range report.Count {
		wantSent += uint64(i%1000 + 1)
	}
	if sent != wantSent || received != 2*wantSent {
		f.bytes++
	}
	for _, kind := range []string{"connect", "accept", "close outbound", "close inbound"} {
		f.counts += int(distance(uint64(kinds[kind]), uint64(report.Count)))
		f.note += fmt.Sprintf("%s %d ", kind, kinds[kind])
	}
	return f
}

func tcpWorkload(count string) (tcpReport, error) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return tcpReport{}, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return tcpReport{}, err
	}
	failed := make(chan error, 1)
	go func() { failed <- tcpServe(listener, n) }()
	for i := range n {
		if err := tcpRequest(listener.Addr().String(), i%1000+1); err != nil {
			return tcpReport{}, err
		}
	}
	return tcpReport{Port: listener.Addr().(*net.TCPAddr).Port, Count: n}, <-failed
}

func tcpServe(listener net.Listener, n int) error {
	buffer := make([]byte, 1000)
	for range n {
		c, err := listener.Accept()
		if err != nil {
			return err
		}
		size, err := c.Read(buffer)
		if err == nil {
			_, err = c.Write(make([]byte, 2*size))
		}
		if err = errors.Join(err, c.Close()); err != nil {
			return err
		}
	}
	return listener.Close()
}

func tcpRequest(address string, size int) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	if _, err := c.Write(make([]byte, size)); err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, c); err != nil || n != int64(2*size) {
		return fmt.Errorf("read answer of %d bytes: %d %w", 2*size, n, err)
	}
	return c.Close()
}
