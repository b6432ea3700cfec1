// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/dns"
	"github.com/skep-io/skep/internal/sensor/files"
	"github.com/skep-io/skep/internal/sensor/host"
	"github.com/skep-io/skep/internal/sensor/tcp"
	"github.com/skep-io/skep/internal/sensor/udp"
	"github.com/skep-io/skep/internal/sensor/unix"
)

// sheddable is a sensor that may be shed.
type sheddable struct {
	sensor kern.Sensor
	kinds  []event.Kind
	// detach and attach take the programs off and put them on, where that is not all done by
	// the kernel's Detach and Attach.
	detach func(a *Agent, why string)
	attach func(a *Agent) error
	// gone and back set right what user space knows: they run on the reader's goroutine, when
	// all that was seen has been handed on.
	gone, back func(a *Agent)
}

// shedOrder is the order in which sensors are shed; they come back in the reverse of it. The
// process sensor is not in it: everything else rests on it.
var shedOrder = []sheddable{
	{sensor: files.Sensor(), kinds: []event.Kind{event.File},
		detach: func(a *Agent, why string) { a.files.pause(why) }, attach: func(a *Agent) error { return a.files.resume() }},
	{sensor: host.Sensor(), kinds: []event.Kind{event.Host},
		detach: func(a *Agent, why string) { a.host.pause(why) }, attach: func(a *Agent) error { return a.host.resume() }},
	{sensor: dns.Sensor(), kinds: []event.Kind{event.Dns}, gone: (*Agent).dnsGone},
	{sensor: unix.Sensor(), kinds: []event.Kind{event.Unix}},
	// What it has counted is told as if it were idle from now.
	{sensor: udp.Sensor(), kinds: []event.Kind{event.Udp}},
	{sensor: tcp.Sensor(), kinds: []event.Kind{event.Connect, event.Accept, event.Close, event.Listen}, gone: (*Agent).tcpGone, back: (*Agent).tcpBack},
}

func sheddableOf(sensor string) *sheddable {
	i := slices.IndexFunc(shedOrder, func(s sheddable) bool { return s.sensor.Name == sensor })
	return &shedOrder[i]
}

// what names the sensor and its records.
func (s *sheddable) what() string {
	return fmt.Sprintf("sensor %s (records of kind %s)", s.sensor.Name, strings.Join(s.kindNames(), ", "))
}

func (s *sheddable) kindNames() []string {
	names := make([]string, len(s.kinds))
	for i, k := range s.kinds {
		names[i] = k.String()
	}
	return names
}

// ladder is the sensor's, as it was climbed.
func (a *Agent) ladder(s *sheddable) []kern.Signal {
	switch s.sensor.Name {
	case files.Sensor().Name:
		return a.files.ladder()
	case host.Sensor().Name:
		return a.host.ladders()
	}
	return a.signals.of(s.sensor.Name)
}

// mayShed tells whether the sensor is there, or was until it was shed.
func (a *Agent) mayShed(sensor string) bool {
	return slices.ContainsFunc(a.ladder(sheddableOf(sensor)), func(s kern.Signal) bool { return s.Rung != nil || isShed(s) })
}

// shed takes a sensor off the kernel, and says so.
func (a *Agent) shed(ctx context.Context, s *sheddable, why string) {
	if s.detach != nil {
		s.detach(a, why)
	} else {
		a.signals.set(s.sensor.Name, shedSignals(s.sensor.Ladders, why)) // first: nobody is to ask its iterators
		a.kernel.Detach(s.sensor)
	}
	a.logger.Warn("sensor shed: over the budget", "sensor", s.sensor.Name, "reason", why)
	a.onReaderSettled(ctx, func() {
		if s.gone != nil {
			s.gone(a)
		}
		a.tell(&skepv1.Agent{Event: "shed", Version: a.options.Version, Detail: s.what() + " is shed, what it would see is not seen until it is back: " + why})
	})
}

// restore attaches a sensor again, and says so.
func (a *Agent) restore(ctx context.Context, s *sheddable, without time.Duration) error {
	if err := a.reattach(s); err != nil {
		return err
	}
	a.logger.Info("sensor taken back: there is room in the budget", "sensor", s.sensor.Name)
	a.onReader(ctx, func() {
		if s.back != nil {
			s.back(a)
		}
		a.tell(&skepv1.Agent{Event: "restore", Version: a.options.Version,
			Detail: fmt.Sprintf("%s is back, after %v in which nothing was seen by it", s.what(), without.Round(time.Second))})
	})
	return nil
}

func (a *Agent) reattach(s *sheddable) error {
	if s.attach != nil {
		return s.attach(a)
	}
	signals, err := a.kernel.Attach(s.sensor)
	if err == nil && !slices.ContainsFunc(signals, func(s kern.Signal) bool { return s.Rung != nil }) {
		err = errors.New("no rung of it can be attached any more; see skep doctor")
	}
	if err != nil {
		a.kernel.Detach(s.sensor)
		return err
	}
	a.signals.set(s.sensor.Name, signals)
	return nil
}

// dnsGone: no answer will be seen.
func (a *Agent) dnsGone() { a.sink.queries.Pause(bootNS()) }

// tcpGone: nothing will tell of the end of what is open. What the kernel side keeps in
// tables by address would be taken for other sockets later; what is in sockets goes with them.
func (a *Agent) tcpGone() {
	a.flows.Reconcile(nil, math.MaxUint64)
	err := errors.Join(
		kern.Keep(a.kernel, "tcp_sockets_hash", map[uint64]abi.TcpSocket{}),
		kern.Keep(a.kernel, "tcp_listeners", map[[8]byte][32]byte{}),
	)
	if err != nil {
		a.logger.Error("tables of sockets not emptied", "error", err)
	}
}

// tcpBack enters the sockets that are there, as at a start.
func (a *Agent) tcpBack() {
	if err := a.scanSockets(); err != nil {
		a.logger.Error("open connections not scanned: they show at their next use", "error", err)
	}
	a.sink.closesLost.Store(true) // some may have closed meanwhile
	a.requestScan()
}

// onReader runs f on the reader's goroutine and returns when that is done, or the agent ends.
func (a *Agent) onReader(ctx context.Context, f func()) {
	done := make(chan struct{})
	select {
	case <-ctx.Done():
	case a.sink.calls <- func() { defer close(done); f() }:
		<-done
	}
}

// onReaderSettled is onReader when all that is in the rings now has been handed on: after
// the pass that may be under way, and one that begins later.
func (a *Agent) onReaderSettled(ctx context.Context, f func()) {
	a.onReader(ctx, func() {})
	a.onReader(ctx, f)
}

// rungShed is the state of the rungs of a sensor that is shed.
const rungShed kern.RungState = "shed"

// shedSignals are the signals of a sensor that is shed.
func shedSignals(ladders []kern.Ladder, why string) []kern.Signal {
	signals := make([]kern.Signal, len(ladders))
	for i, l := range ladders {
		signals[i].Ladder = l
		for _, r := range l.Rungs {
			signals[i].Reports = append(signals[i].Reports, kern.RungReport{Name: r.Name, State: rungShed, Reason: why})
		}
	}
	return signals
}

func isShed(s kern.Signal) bool {
	return s.Rung == nil && len(s.Reports) > 0 && s.Reports[0].State == rungShed
}

// signals are the ladders of the sensors as they were climbed.
type signals struct {
	mutex   sync.Mutex
	sensors []string
	climbed map[string][]kern.Signal
}

func (s *signals) set(sensor string, climbed []kern.Signal) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.climbed == nil {
		s.climbed = map[string][]kern.Signal{}
	}
	if _, known := s.climbed[sensor]; !known {
		s.sensors = append(s.sensors, sensor)
	}
	s.climbed[sensor] = climbed
}

func (s *signals) of(sensor string) []kern.Signal {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.climbed[sensor]
}

// all is in the order of the sensors.
func (s *signals) all() []kern.Signal {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var all []kern.Signal
	for _, name := range s.sensors {
		all = append(all, s.climbed[name]...)
	}
	return all
}

// rung is the one in use for a signal, nil if there is none.
func (s *signals) rung(signal string) *kern.Rung {
	for _, one := range s.all() {
		if one.Ladder.Signal == signal {
			return one.Rung
		}
	}
	return nil
}
