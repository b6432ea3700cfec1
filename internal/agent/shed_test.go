// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"
	"testing"

	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/process"
)

// TestShedOrder: every sensor has a place in the order but that of processes, and each kind
// of record that comes from the kernel is that of one sensor.
func TestShedOrder(t *testing.T) {
	cfg := config.Default()
	cfg.Sensors.Files.Paths = []string{"/etc"}
	a := &Agent{options: Options{Config: cfg}}
	for _, s := range a.sensors() {
		known := slices.ContainsFunc(shedOrder, func(o sheddable) bool { return o.sensor.Name == s.Name })
		if known == (s.Name == process.Sensor().Name) {
			t.Errorf("sensor %s: in the order: %v", s.Name, known)
		}
	}
	of := map[event.Kind]string{event.Fork: "process", event.Exec: "process", event.Exit: "process", event.Oom: "process"}
	for _, o := range shedOrder {
		for _, kind := range o.kinds {
			if of[kind] != "" {
				t.Errorf("%v is of %s and of %s", kind, of[kind], o.sensor.Name)
			}
			of[kind] = o.sensor.Name
		}
	}
	for typ, kind := range kinds {
		if of[kind] == "" {
			t.Errorf("%v (record type %d) is of no sensor: what becomes of it when its sensor is shed?", kind, typ)
		}
	}
}

// TestShedSignals: a signal that is shed is not available, and says why and what to do.
func TestShedSignals(t *testing.T) {
	var s signals
	ladders := shedOrder[len(shedOrder)-1].sensor.Ladders
	s.set("x", []kern.Signal{{Ladder: ladders[0], Rung: &ladders[0].Rungs[0]}})
	signal := ladders[0].Signal
	if s.rung(signal) == nil || isShed(s.all()[0]) {
		t.Fatal("attached, and it has no rung")
	}
	s.set("x", shedSignals(ladders, "too much"))
	if s.rung(signal) != nil || !isShed(s.of("x")[0]) || len(s.all()) != len(ladders) {
		t.Errorf("%+v", s.all())
	}
	for _, status := range signalStatus(s.all()) {
		if status.Available || status.Rung != "" || status.Rungs[0].State != "shed" || status.Rungs[0].Reason != "too much" || status.Advice == "" {
			t.Errorf("%v", status)
		}
	}
	if isShed(kern.Signal{Reports: []kern.RungReport{{State: kern.Unavailable}}}) || isShed(kern.Signal{}) {
		t.Error("what never worked is taken for shed")
	}
}
