// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"time"

	xunix "golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/flow"
	flowdns "github.com/skep-io/skep/internal/flow/dns"
	flowudp "github.com/skep-io/skep/internal/flow/udp"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/udp"
)

// datagrams reads the UDP flows that the kernel side counts, when they are due.
type datagrams struct {
	source flowudp.Source // nil where UDP is not watched
	table  *flowudp.Table
	logger *slog.Logger
	failed bool // the last pass has
}

func (a *Agent) openDatagrams(names *flowdns.Names) error {
	a.datagrams = &datagrams{logger: a.logger, table: flowudp.New(flowudp.Options{
		Wall: func(bootNS uint64) time.Time { return a.clock.Wall(bootNS).AsTime() },
		Name: names.Of,
		Publish: func(bootNS uint64, r *skepv1.Record) {
			a.sink.recorder.publish(event.Udp, bootNS, r.Process, r)
		},
	})}
	a.sink.datagrams = a.datagrams
	if a.signals.rung(udp.Signal) == nil {
		return nil
	}
	var err error
	a.datagrams.source, err = kern.NewEntries[abi.UdpKey, abi.UdpFlow](a.kernel, udp.FlowsMap)
	return err
}

// pass reads the flows if it is time to. What a failed pass has not read the next one will.
func (d *datagrams) pass(resolve flow.Resolve) {
	if d.source == nil || !d.table.Due(bootNS()) {
		return
	}
	err := d.table.Pass(d.source, datagramsNow(), resolve)
	if err != nil && !d.failed {
		d.logger.Error("UDP flows not read: they are tried again", "error", err)
	}
	d.failed = err != nil
}

// abandon tells of all flows where the kernel side ends with the agent.
func (d *datagrams) abandon(resolve flow.Resolve) {
	if d.source == nil {
		return
	}
	if err := d.table.Abandon(d.source, datagramsNow(), resolve); err != nil {
		d.logger.Error("UDP flows not told at the end", "error", err)
	}
}

func datagramsNow() flowudp.Now { return flowudp.Now{Boot: bootNS(), Monotonic: monotonicNS()} }

// monotonicNS is CLOCK_MONOTONIC in nanoseconds.
func monotonicNS() uint64 {
	var t xunix.Timespec
	if err := xunix.ClockGettime(xunix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // the clock exists since Linux 2.6.0
	}
	return uint64(t.Nano())
}

// scanDatagramSockets finds the owners of the UDP sockets that were there first.
func (a *Agent) scanDatagramSockets() error {
	rung := a.signals.rung(udp.Signal)
	if rung == nil || !udp.CanScan(*rung) {
		return nil
	}
	if _, err := a.kernel.Scan(udp.Sensor(), udp.ExistingProgram); err != nil {
		a.logger.Info("UDP sockets older than the agent have no owner until they send", "reason", err)
	}
	return nil
}
