// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"slices"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/test/e2e/skepdtest"
	"github.com/skep-io/skep/test/sensortest"
)

// packet is one record with a payload of its own.
type packet struct {
	abi.DNSRecord
	payload []byte
}

func (p *packet) incoming() bool { return p.Flags&uint8(abi.DNSIncoming) != 0 }

// watch is a running sensor, on a private kernel side, and what has arrived from it.
type watch struct {
	t       testing.TB
	kernel  *kern.Kernel
	reader  *kern.Reader
	rung    string
	packets []packet
}

func (w *watch) Critical([]byte) {}
func (w *watch) Flush()          {}

func (w *watch) Telemetry(raw []byte) {
	head, payload, err := Decode(raw)
	if err != nil {
		w.t.Error(err)
		return
	}
	w.packets = append(w.packets, packet{head, slices.Clone(payload)})
}

// start attaches the sensor on the named rung ("" for the best), and what tells it exec ids.
func start(t testing.TB, rung string) *watch {
	t.Helper()
	return startWith(t, rung, kern.Options{})
}

func startWith(t testing.TB, rung string, options kern.Options) *watch {
	t.Helper()
	options.Cgroup2 = skepdtest.Cgroup2(t)
	if rung != "" {
		options.Force = map[string]string{"dns": rung}
	}
	kernel, reader, signals := sensortest.Start(t, Sensor(), options)
	sensortest.WantRungs(t, signals)
	return &watch{t: t, kernel: kernel, reader: reader, rung: signals[0].Rung.Name}
}

// until reads the rings until match has found what it wants in the packets.
func (w *watch) until(t testing.TB, what string, match func([]packet) bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		w.reader.Pass(w)
		if match(w.packets) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no %s in %d packets", what, len(w.packets))
		}
	}
}
