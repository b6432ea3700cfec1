// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"bytes"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/bpf"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/test/sensortest"
)

// loaded are the two programs by themselves, and one that does nothing.
func loaded(b *testing.B) map[string]*ebpf.Program {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Skip("needs root: loads BPF programs")
	}
	_ = rlimit.RemoveMemlock()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(bpf.Object("dns")))
	if err != nil {
		b.Fatal(err)
	}
	collection, err := ebpf.NewCollection(spec)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(collection.Close)
	empty, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "empty", Type: ebpf.CGroupSKB, AttachType: ebpf.AttachCGroupInetEgress, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { empty.Close() })
	return map[string]*ebpf.Program{"empty": empty, "egress": collection.Programs["dns_egress"], "ingress": collection.Programs["dns_ingress"]}
}

// frame is an Ethernet frame with IPv4, a protocol, ports, and 64 bytes more.
func frame(protocol byte, source, destination uint16) []byte {
	b := make([]byte, 14+20+20+64)
	copy(b[12:], []byte{8, 0, 0x45, 0, 0, byte(len(b) - 14), 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	copy(b[34:], []byte{byte(source >> 8), byte(source), byte(destination >> 8), byte(destination), 0, 84, 0, 0})
	b[46] = 5 << 4
	return b
}

// BenchmarkProgram is what a packet that is no DNS costs in each program, on a socket that
// is not connected: those that are say more and cost less, see BenchmarkTraffic.
func BenchmarkProgram(b *testing.B) {
	programs := loaded(b)
	for _, name := range []string{"empty", "egress", "ingress"} {
		for protocol, number := range map[string]byte{"udp": 17, "tcp": 6} {
			b.Run(name+"/"+protocol, func(b *testing.B) {
				b.ReportMetric(0, "ns/op")
				var spent time.Duration
				for b.Loop() {
					const repeat = 1_000_000
					_, each, err := programs[name].Benchmark(frame(number, 5000, 443), repeat, nil)
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

// BenchmarkTraffic is the CPU time of a datagram and its echo between two connected
// sockets on loopback, without the sensor and with it.
func BenchmarkTraffic(b *testing.B) {
	for _, port := range []string{"5300", "53"} {
		for _, with := range []string{"without", "with"} {
			b.Run(port+"/"+with, func(b *testing.B) {
				sensortest.OwnNetwork(b)
				if with == "with" {
					defer start(b, "").logCost(b)()
				}
				echo(b, port)
			})
		}
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
			if strings.HasPrefix(s.Name, "dns") && s.Runs > 0 {
				b.Logf("%s: %d runs, %d ns each", s.Name, s.Runs, s.RunTime.Nanoseconds()/int64(s.Runs))
			}
		}
	}
}

func echo(b *testing.B, port string) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: must(net.LookupPort("udp", port))})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	client, err := net.DialUDP("udp4", nil, server.LocalAddr().(*net.UDPAddr))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	buffer := make([]byte, 64)
	before := cpu(b)
	for b.Loop() {
		if _, err := client.Write(buffer); err != nil {
			b.Fatal(err)
		}
		_, from, err := server.ReadFromUDPAddrPort(buffer)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := server.WriteToUDPAddrPort(buffer, from); err != nil {
			b.Fatal(err)
		}
		if _, err := client.Read(buffer); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func cpu(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
