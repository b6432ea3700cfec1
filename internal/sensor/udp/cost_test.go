// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/bpf"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/test/e2e/skepdtest"
	"github.com/skep-io/skep/test/sensortest"
)

// loaded are the two programs by themselves, and one that does nothing.
func loaded(b *testing.B) map[string]*ebpf.Program {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Skip("needs root: loads BPF programs")
	}
	_ = rlimit.RemoveMemlock()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(bpf.Object("udp")))
	if err != nil {
		b.Fatal(err)
	}
	collection, err := ebpf.NewCollection(spec)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(collection.Close)
	return map[string]*ebpf.Program{
		"empty":  empty(b, ebpf.AttachCGroupInetEgress),
		"egress": collection.Programs["udp_egress"], "ingress": collection.Programs["udp_ingress"],
	}
}

func empty(b *testing.B, at ebpf.AttachType) *ebpf.Program {
	b.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "empty", Type: ebpf.CGroupSKB, AttachType: at, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close() })
	return p
}

// attachEmpty attaches programs that do nothing where the sensor's are: what any program
// there costs, such as those of the DNS sensor.
func attachEmpty(b *testing.B) {
	b.Helper()
	for _, at := range []ebpf.AttachType{ebpf.AttachCGroupInetEgress, ebpf.AttachCGroupInetIngress} {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: skepdtest.Cgroup2(b), Attach: at, Program: empty(b, at)})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { l.Close() })
	}
}

// frame is an Ethernet frame with IPv4, a protocol, ports, and 64 bytes more.
func frame(protocol byte) []byte {
	b := make([]byte, 14+20+20+64)
	copy(b[12:], []byte{8, 0, 0x45, 0, 0, byte(len(b) - 14), 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	copy(b[34:], []byte{19, 136, 1, 187, 0, 84, 0, 0})
	b[46] = 5 << 4
	return b
}

// BenchmarkProgram is what a packet costs in each program: one of TCP, and one of a UDP
// flow that is in the map.
func BenchmarkProgram(b *testing.B) {
	programs := loaded(b)
	for _, name := range []string{"empty", "egress", "ingress"} {
		for _, p := range []struct {
			protocol string
			number   byte
		}{{"tcp", unix.IPPROTO_TCP}, {"udp", unix.IPPROTO_UDP}} {
			b.Run(name+"/"+p.protocol, func(b *testing.B) {
				b.ReportMetric(0, "ns/op")
				var spent time.Duration
				for b.Loop() {
					_, each, err := programs[name].Benchmark(frame(p.number), 1_000_000, nil)
					if err != nil {
						b.Fatal(err)
					}
					spent += each
				}
				b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "ns/packet")
			})
		}
	}
}

// BenchmarkTraffic is the CPU time of a message and its echo between two sockets on
// loopback: with programs that do nothing, and with the sensor beside them.
func BenchmarkTraffic(b *testing.B) {
	for _, network := range []string{"udp", "tcp"} {
		for _, with := range []string{"empty", "sensor"} {
			b.Run(network+"/"+with, func(b *testing.B) {
				sensortest.OwnNetwork(b)
				attachEmpty(b)
				if with == "sensor" {
					start(b, "", kern.Options{})
				}
				client, server := pair(b, network)
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
}

// pair is two connected sockets.
func pair(b *testing.B, network string) (client, server net.Conn) {
	b.Helper()
	if network == "tcp" {
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
	} else {
		a, c := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5001}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5002}
		var err error
		if server, err = net.DialUDP("udp4", a, c); err != nil {
			b.Fatal(err)
		}
		if client, err = net.DialUDP("udp4", c, a); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func cpu(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
