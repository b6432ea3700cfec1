// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/sensor/process"
	"github.com/skep-io/skep/internal/sensor/tcp"
)

// scanExisting fills the table with the processes that were there first and clears the
// kernel's records of those that ended while nothing watched.
func (a *Agent) scanExisting() error {
	before := bootNS()
	raw, err := a.kernel.Scan(process.Sensor(), process.ExistingProgram)
	if err != nil {
		return err
	}
	scan, err := process.DecodeScan(raw)
	if err != nil {
		return err
	}
	scan = append(scan, identity.LeftOut(scan)...)
	added, retired := a.processes.Existing(scan, before)
	alive := make(map[uint32]uint64, len(scan))
	for _, p := range scan {
		alive[p.ID.Tgid] = p.ID.StartNS
	}
	swept, err := a.kernel.Sweep(func(p *abi.Process) bool {
		return alive[p.ID.Tgid] == p.ID.StartNS || p.ID.StartNS >= before
	})
	if err != nil {
		return err
	}
	a.logger.Debug("processes scanned", "added", added, "retired", retired, "swept", swept)
	return nil
}

// scanSockets fills the connection table with the sockets that were there first. A kernel
// that cannot do it is no reason not to start: their owners show at their next use.
func (a *Agent) scanSockets() error {
	if !a.canScanSockets() {
		a.logger.Info("connections older than the agent show at their next read or at their close")
		return nil
	}
	raw, err := a.kernel.Scan(tcp.Sensor(), tcp.ExistingProgram)
	if err != nil {
		a.logger.Info("sockets older than the agent are known at their next use only", "reason", err)
		return nil
	}
	defer a.flows.Seeded()
	return tcp.DecodeScan(raw, func(e tcp.Event) { a.flows.Seed(&e, a.processes.Process) })
}

// readerSettles is longer than the reader takes to come to what was there before.
const readerSettles = 500 * time.Millisecond

// reconcile drops connections from the table that the kernel side does not know any more:
// their close was lost. It asks twice, as one answer may leave out a socket that lives.
func (a *Agent) reconcile(ctx context.Context) {
	if rung := a.signals.rung(tcp.TrafficSignal); rung == nil || !tcp.CountsAll(*rung) {
		return
	}
	began, known := bootNS(), map[uint64]struct{}{}
	for range 2 {
		now, err := a.traffic.read()
		if err != nil {
			a.logger.Error("connections not compared with the kernel's", "error", err)
			return
		}
		for id := range now.Of {
			known[id] = struct{}{}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(readerSettles):
		}
	}
	a.logger.Debug("connections compared with the kernel's", "dropped", a.flows.Reconcile(known, began))
}

func (a *Agent) canScanSockets() bool {
	rung := a.signals.rung(tcp.Signal)
	return rung != nil && tcp.CanScan(*rung)
}

// requestScan asks for a scan because lifecycle records were lost; it never blocks.
func (a *Agent) requestScan() {
	select {
	case a.scanNeeded <- struct{}{}:
	default:
	}
}

// fillExisting reads what the scan has left out, while events flow.
func (a *Agent) fillExisting(ctx context.Context) {
	if unread := a.processes.Fill(ctx); unread > 0 && ctx.Err() == nil {
		a.logger.Warn("arguments of processes from before not read: their memory did not answer in time", "processes", unread)
	}
}

// rescan keeps the tables right beside the events: it completes the first scan, and scans
// again when records were lost. Connections are compared when an earlier agent's records
// have been read, which is announced.
func (a *Agent) rescan(ctx context.Context, announced <-chan struct{}) error {
	a.fillExisting(ctx)
	<-announced
	// A socket that its first event and the first scan have met at once has two entries.
	a.reconcile(ctx)
	// Parsing BTF, loading and reading /proc left garbage as large as all that stays: give
	// it back now rather than when the heap has grown to it.
	debug.FreeOSMemory()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.scanNeeded:
		}
		if a.sink.processesLost.CompareAndSwap(true, false) {
			if err := a.scanExisting(); err != nil {
				a.logger.Error("processes not scanned after a loss", "error", err)
			}
			a.fillExisting(ctx)
		}
		if a.sink.closesLost.CompareAndSwap(true, false) {
			a.reconcile(ctx)
		}
		select { // at most one a second, however much is lost
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}
