// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"net"
	"os"
	"testing"
)

func TestLoad(t *testing.T) {
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			w := start(t, rung.Name)
			server, err := net.ListenPacket("udp", "127.0.0.1:53")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			client, err := net.Dial("udp", "127.0.0.1:53")
			if err != nil {
				t.Fatal(err)
			}
			client.Write([]byte("hello"))
			b := make([]byte, 100)
			_, from, _ := server.ReadFrom(b)
			server.WriteTo([]byte("answer"), from)
			client.Read(b)
			w.until(t, "two", func(p []packet) bool { return len(p) >= 2 })
			for _, p := range w.packets {
				t.Logf("%+v %q (me %d)", p.DNSRecord, p.payload, os.Getpid())
			}
			for _, s := range w.kernel.Stats() {
				t.Logf("%s %d instructions", s.Name, s.Instructions)
			}
		})
	}
}
