// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"testing"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/test/e2e/skepdtest"
	"github.com/skep-io/skep/test/sensortest"
)

// watch is a running sensor, on a private kernel side.
type watch struct {
	kernel *kern.Kernel
	reader *kern.Reader
	flows  *kern.Entries[abi.UdpKey, abi.UdpFlow]
	closed map[uint64]int // sockets, and how often they were told to be
	t      testing.TB
}

func (w *watch) Critical([]byte) {}
func (w *watch) Flush()          {}

func (w *watch) Telemetry(raw []byte) {
	r, err := Decode(raw)
	if err != nil {
		w.t.Error(err)
		return
	}
	w.closed[r.Socket]++
}

// start attaches the sensor on the named rung ("" for the best), and what tells it exec ids.
func start(t testing.TB, rung string, options kern.Options) *watch {
	t.Helper()
	options.Cgroup2 = skepdtest.Cgroup2(t)
	if rung != "" {
		options.Force = map[string]string{Signal: rung}
	}
	kernel, reader, signals := sensortest.Start(t, Sensor(), options)
	sensortest.WantRungs(t, signals)
	flows, err := kern.NewEntries[abi.UdpKey, abi.UdpFlow](kernel, FlowsMap)
	if err != nil {
		t.Fatal(err)
	}
	return &watch{kernel: kernel, reader: reader, flows: flows, closed: map[uint64]int{}, t: t}
}
