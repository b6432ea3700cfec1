// SPDX-License-Identifier: Apache-2.0

package unix

import (
	"io"
	"net"
	"testing"
	"time"

	xunix "golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern"
)

// BenchmarkBystander is the CPU time of a message and its echo over TCP on loopback, at which
// the rung tp_btf looks too: without the sensor and with it.
func BenchmarkBystander(b *testing.B) {
	for _, rung := range []string{"", "tp_btf"} {
		b.Run("rung="+rung, func(b *testing.B) {
			if rung != "" {
				defer start(b, rung).logCost(b)()
			}
			client, server := pair(b)
			buffer := make([]byte, 64)
			before := cpu(b)
			for b.Loop() {
				for _, c := range [][2]io.ReadWriter{{client, server}, {server, client}} {
					if _, err := c[0].Write(buffer); err != nil {
						b.Fatal(err)
					}
					if _, err := c[1].Read(buffer); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// logCost turns the kernel's program statistics on; the function says what they were.
func (w *watch) logCost(b *testing.B) func() {
	b.Helper()
	if _, err := new(kern.Meter).Look(); err != nil {
		b.Fatal(err)
	}
	return func() {
		for _, s := range w.kernel.Stats() {
			if s.Name == "data_ready" && s.Runs > 0 {
				b.Logf("%s: %d runs, %d ns each", s.Name, s.Runs, s.RunTime.Nanoseconds()/int64(s.Runs))
			}
		}
	}
}

func pair(b *testing.B) (client, server net.Conn) {
	b.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp4", l.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func cpu(b *testing.B) time.Duration {
	var u xunix.Rusage
	if err := xunix.Getrusage(xunix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkConnect is the CPU time of a connect, its accept and both ends, and what of that
// the program takes.
func BenchmarkConnect(b *testing.B) {
	for _, rung := range []string{"", "tp_btf"} {
		b.Run("rung="+rung, func(b *testing.B) {
			read := func() {} // or the ring is full, and each record wakes its reader
			if rung != "" {
				w := start(b, rung)
				defer w.logCost(b)()
				read = func() { w.of(0) }
			}
			l, err := net.Listen("unix", b.TempDir()+"/s")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			before := cpu(b)
			for n := 0; b.Loop(); n++ {
				if n%1000 == 0 {
					read()
				}
				client, err := net.Dial("unix", l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				server, err := l.Accept()
				if err != nil {
					b.Fatal(err)
				}
				client.Close()
				server.Close()
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}
