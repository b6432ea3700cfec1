// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"runtime/debug"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/config"
)

// part is a part of the configuration that can change while the agent runs. Whatever is
// in no part takes a restart: it is built into the kernel side, or into tables of a size.
type part struct {
	key string
	// take copies the part.
	take func(to, from *config.Config)
	// apply puts it into force, or fails and has changed nothing.
	apply func(a *Agent, now *config.Config) error
}

// parts that read no events: nothing here touches what is attached or its reader, but the
// file and host sensors, which come and go with what is wanted of them.
var parts = []part{
	{"redact", func(to, from *config.Config) { to.Redact = from.Redact }, (*Agent).applyRedact},
	{"log.level", func(to, from *config.Config) { to.Log.Level = from.Log.Level }, (*Agent).applyLogLevel},
	{"metrics", func(to, from *config.Config) { to.Metrics = from.Metrics }, (*Agent).applyMetrics},
	{"ship", func(to, from *config.Config) { to.Ship = from.Ship }, (*Agent).applyShip},
	{"sensors.files", func(to, from *config.Config) { to.Sensors.Files = from.Sensors.Files }, (*Agent).applyFiles},
	{"limits", func(to, from *config.Config) { to.Limits = from.Limits }, (*Agent).applyLimits},
	{"sensors.host", func(to, from *config.Config) { to.Sensors.Host = from.Sensors.Host }, (*Agent).applyHost},
	{"history", func(to, from *config.Config) { to.History = from.History }, (*Agent).applyHistory},
}

func (p part) has(key string) bool { return key == p.key || strings.HasPrefix(key, p.key+".") }

// reloads reads the configuration again whenever it is asked to.
func (a *Agent) reloads(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.options.Reload:
		}
		body := &skepv1.Agent{Event: "reload", Version: a.options.Version, Detail: a.reload()}
		a.onReader(ctx, func() { a.tell(body) })
	}
}

// reload says what it has done, for the stream.
func (a *Agent) reload() string {
	now, err := a.options.Load()
	if err != nil {
		a.logger.Error("configuration not reloaded: the old one stays in force", "error", err)
		return "not reloaded: the file has faults, or cannot be read; see the agent's log"
	}
	old := a.inForce.Load()
	next, done, kept := *old, []string{}, []string{}
	keys := config.Changed(*old, now)
	for _, p := range parts {
		var mine []string
		mine, keys = split(keys, p.has)
		if len(mine) == 0 {
			continue
		}
		if err := p.apply(a, &now); err != nil {
			a.logger.Error("not changed by the reload: the old value stays in force", "key", p.key, "error", err)
			kept = append(kept, mine...)
			continue
		}
		p.take(&next, &now)
		done = append(done, mine...)
	}
	if len(keys) > 0 {
		a.logger.Warn("not changed by the reload: restart skepd to change it", "keys", strings.Join(keys, ", "))
	}
	a.inForce.Store(&next)
	a.logger.Info("configuration reloaded", "changed", strings.Join(done, ", "))
	return describe("changed", done) + describe("; as before until the cause in the log is mended", kept) + describe("; as before until a restart", keys)
}

func describe(what string, keys []string) string {
	switch {
	case len(keys) > 0:
		return what + ": " + strings.Join(keys, ", ")
	case strings.HasPrefix(what, ";"):
		return ""
	}
	return what + ": nothing"
}

func split(keys []string, mine func(string) bool) (own, others []string) {
	for _, key := range keys {
		if mine(key) {
			own = append(own, key)
		} else {
			others = append(others, key)
		}
	}
	return own, others
}

func (a *Agent) applyRedact(now *config.Config) error {
	rules, err := now.Redact.Rules()
	if err == nil {
		a.secrets.Replace(rules)
	}
	return err
}

func (a *Agent) applyLogLevel(now *config.Config) error {
	return a.options.Level.UnmarshalText([]byte(now.Log.Level))
}

func (a *Agent) applyMetrics(now *config.Config) error {
	l, err := listenMetrics(now.Metrics.Listen)
	if err == nil {
		a.metrics.move(l)
	}
	return err
}

func (a *Agent) applyHistory(now *config.Config) error {
	a.log.SetBudget(int(now.History.MaxBytes))
	limitMemory(now)
	return nil
}

// applyLimits: the budget reads them each second.
func (a *Agent) applyLimits(now *config.Config) error {
	limitMemory(now)
	return nil
}

// limitMemory: most of the live heap is the log, which is bounded. Collecting less often
// halves the agent's CPU under load; the soft limit keeps the peak where the default
// pacing has it.
func limitMemory(cfg *config.Config) {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(heapLimit(cfg))
}

func heapLimit(cfg *config.Config) int64 { return int64(cfg.History.MaxBytes) + 56<<20 }
