// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"fmt"
	"net"
	"testing"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/test/sensortest"
)

// TestSocketOfElsewhere: a forwarder opens its socket in another network namespace.
func TestSocketOfElsewhere(t *testing.T) {
	for _, rung := range Sensor().Ladders[0].Rungs {
		for _, reads := range []bool{true, false} {
			if !reads && rung.Name != "cgroup_skb" {
				continue // that rung is made of reads
			}
			t.Run(fmt.Sprintf("%s, reads %t", rung.Name, reads), func(t *testing.T) {
				needRung(t, rung.Name)
				netns := sensortest.OwnNetwork(t)
				w := startWith(t, rung.Name, kern.Options{Constants: map[string]any{"cfg_probe_read": reads}})
				var sockets []net.Conn
				for _, to := range []string{"127.0.0.1:53", "[::1]:53"} {
					c, err := net.Dial("udp", to)
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					sockets = append(sockets, c)
				}
				loose, err := net.ListenUDP("udp4", nil)
				if err != nil {
					t.Fatal(err)
				}
				defer loose.Close()
				if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
					t.Fatal(err)
				}
				for _, c := range sockets {
					if _, err := c.Write([]byte(question)); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := loose.WriteTo([]byte(question), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53}); err != nil {
					t.Fatal(err)
				}
				w.until(t, "three questions", func(p []packet) bool { return len(p) >= 3 })
				for i, p := range w.packets {
					if known := reads || hasTypedContext(t); p.Netns != netns && known || p.Netns != 0 && !known {
						t.Errorf("packet %d: network namespace %d, want %d", i, p.Netns, netns)
					}
				}
			})
		}
	}
}

// hasTypedContext tells whether programs can load from the packet's socket (6.2).
func hasTypedContext(t *testing.T) bool {
	t.Helper()
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	_, err = kernel.AnyTypeByName("bpf_cast_to_kern_ctx")
	return err == nil
}
