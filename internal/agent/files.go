// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/files"
)

// fileWatch keeps the file sensor's kernel side in step with the configuration and with
// the host: what a path means changes when somebody renames, mounts or makes directories.
type fileWatch struct {
	kernel *kern.Kernel
	logger *slog.Logger
	plan   atomic.Pointer[files.Plan] // never nil
	stale  chan struct{}              // something on the way to a watched path has changed

	mutex   sync.Mutex
	paths   []string
	signals []kern.Signal // none while nothing is watched
	shed    string        // why it is; "" if it is not
}

func newFileWatch(k *kern.Kernel, logger *slog.Logger) *fileWatch {
	w := &fileWatch{kernel: k, logger: logger, stale: make(chan struct{}, 1)}
	w.plan.Store(&files.Plan{})
	return w
}

// set watches these paths and no others. With none, nothing is attached.
func (w *fileWatch) set(paths []string) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(paths) == 0 {
		w.kernel.Detach(files.Sensor())
		w.paths, w.signals, w.shed = nil, nil, ""
		return nil
	}
	if err := w.kernel.Add(files.Sensor()); err != nil {
		return err
	}
	before := w.paths
	w.paths = slices.Clone(paths)
	if err := w.look(); err != nil {
		w.paths = before
		return err
	}
	if w.signals != nil {
		return nil
	}
	if w.shed != "" {
		w.signals = shedSignals(files.Sensor().Ladders, w.shed)
		return nil
	}
	return w.attach()
}

func (w *fileWatch) attach() error {
	signals, err := w.kernel.Attach(files.Sensor())
	w.signals = signals
	for _, s := range signals {
		if s.Rung == nil {
			w.logger.Warn("file operations cannot be seen on this kernel: see skep doctor", "signal", s.Ladder.Signal)
		}
	}
	return err
}

// look makes a plan of the host as it is and gives it to the kernel side, in an order in
// which what is watched before and after is watched meanwhile.
func (w *fileWatch) look() error {
	host, err := files.ReadMounts()
	if err != nil {
		return err
	}
	defer host.Close()
	plan, old := files.NewPlan(w.paths, host), w.plan.Load()
	plan.Filter.Plan = old.Filter.Plan
	if reflect.DeepEqual(plan, old) {
		return nil
	}
	if len(plan.Missing) > 0 && !slices.Equal(plan.Missing, old.Missing) {
		w.logger.Info("watched paths are not there yet", "paths", strings.Join(plan.Missing, ", "))
	}
	both := plan.Filter
	both.Plan, plan.Filter.Plan = old.Filter.Plan+1, old.Filter.Plan+2
	for i := range both.Bits {
		both.Bits[i] |= old.Filter.Bits[i]
	}
	for _, step := range []func() error{
		func() error { return kern.Put(w.kernel, "file_objects", plan.Objects) },
		func() error { return kern.Put(w.kernel, "file_names", plan.Names) },
		func() error { return kern.Put(w.kernel, "file_prefixes", plan.Prefixes) },
		func() error { return kern.Put(w.kernel, "file_filter", map[uint32]abi.FileFilter{0: both}) },
		func() error { w.plan.Store(plan); return nil },
		func() error { return kern.Keep(w.kernel, "file_objects", plan.Objects) },
		func() error { return kern.Keep(w.kernel, "file_names", plan.Names) },
		func() error { return kern.Keep(w.kernel, "file_prefixes", plan.Prefixes) },
		func() error { return kern.Put(w.kernel, "file_filter", map[uint32]abi.FileFilter{0: plan.Filter}) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// lookAtMost bounds how often somebody who renames things can make the agent look.
const lookAtMost = 50 * time.Millisecond

// run looks at the host again each second, and at once when it is told to.
func (w *fileWatch) run(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-w.stale:
		}
		if err := w.again(); err != nil {
			w.logger.Error("watched paths not looked at", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookAtMost):
		}
	}
}

func (w *fileWatch) again() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(w.paths) == 0 {
		return nil
	}
	return w.look()
}

// body is the public record, nil if the operation turns out not to be watched. It is
// called by the reader's goroutine, and never waits.
func (w *fileWatch) body(e *files.Event) *skepv1.FileOperation {
	plan := w.plan.Load()
	body := e.Body(plan, files.Resolve)
	if body != nil && e.ChangesNames() && (plan.Leads(body.Path) || body.NewPath != "" && plan.Leads(body.NewPath)) {
		select {
		case w.stale <- struct{}{}:
		default:
		}
	}
	return body
}

// pause takes the programs off, and keeps in mind what to watch; resume puts them on again.
func (w *fileWatch) pause(why string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.shed = why
	w.kernel.Detach(files.Sensor())
	w.signals = shedSignals(files.Sensor().Ladders, why)
}

func (w *fileWatch) resume() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.shed = ""
	if len(w.paths) == 0 {
		w.signals = nil
		return nil
	}
	if err := w.look(); err != nil {
		return err
	}
	return w.attach()
}

// ladder is the file sensor's as it was climbed.
func (w *fileWatch) ladder() []kern.Signal {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.signals
}

func (a *Agent) allSignals() []kern.Signal {
	return slices.Concat(a.signals.all(), a.files.ladder(), a.host.ladders())
}

func (a *Agent) applyFiles(now *config.Config) error { return a.files.set(now.Sensors.Files.Paths) }
