// SPDX-License-Identifier: Apache-2.0

package server

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// collector turns a status into metrics: each number of it is one. Ids that are
// not measurements (of nodes, programs, subscribers) are labels or left out.
type collector struct{ server *Server }

// Describe implements prometheus.Collector.
func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range allMetrics {
		descs <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	samples := samples{}
	status := c.server.status()
	samples.agent(status)
	samples.budget(status.GetBudget())
	samples.events(status)
	samples.subscribers(status.GetSubscribers())
	samples.outputs(status.GetOutputs())
	samples.tables(status)
	samples.store(status.GetStore())
	samples.memory(status.GetMemory())
	samples.programs(status.GetPrograms())
	samples.signals(status.GetSignals())
	samples.traces(status.GetTraces())
	samples.server(c.server)
	for key, s := range samples {
		out <- prometheus.MustNewConstMetric(key.metric.desc, key.metric.kind, s.value, s.labels...)
	}
}

// samples are values by metric and labels. Two things with the same labels
// (two maps of one name) are added up: Prometheus would refuse all metrics.
type samples map[sampleKey]sample

type sampleKey struct {
	metric *metric
	labels string
}

type sample struct {
	value  float64
	labels []string
}

func (s samples) add(m *metric, value float64, labels ...string) {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\uFFFD")
	}
	key := sampleKey{m, strings.Join(labels, "\xff")}
	s[key] = sample{s[key].value + value, labels}
}

func (s samples) agent(st *skepv1.GetStatusResponse) {
	s.add(metricInfo, 1, st.GetVersion(), st.GetNodeId(), st.GetBootId(), st.GetNodeName())
	s.add(metricStart, float64(st.GetStarted().AsTime().UnixNano())/1e9)
	s.add(metricUptime, st.GetUptime().AsDuration().Seconds())
	s.add(metricAgentCPU, st.GetAgentCpu().AsDuration().Seconds())
	s.add(metricAgentShare, st.GetAgentCpuShare())
	s.add(metricProgramsShare, st.GetProgramsCpuShare())
}

func (s samples) budget(b *skepv1.BudgetStatus) {
	if b == nil {
		return
	}
	if b.GetCpuLimit() > 0 {
		s.add(metricCPULimit, b.GetCpuLimit())
		s.add(metricCPUHeld, b.GetCpu())
	}
	if b.GetMemoryLimitBytes() > 0 {
		s.add(metricMemoryLimit, float64(b.GetMemoryLimitBytes()))
		s.add(metricMemoryHeld, float64(b.GetMemoryBytes()))
	}
	s.add(metricExhausted, oneIf(b.GetExhausted()))
	for _, sensor := range b.GetSensors() {
		s.add(metricShed, oneIf(sensor.GetShed()), sensor.GetSensor())
		if since := sensor.GetSince(); since != nil {
			s.add(metricShedSince, float64(since.AsTime().UnixNano())/1e9, sensor.GetSensor())
		}
		s.add(metricSheds, float64(sensor.GetTimes()), sensor.GetSensor())
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (s samples) events(st *skepv1.GetStatusResponse) {
	for _, k := range st.GetKinds() {
		s.add(metricEvents, float64(k.GetReceived()), k.GetKind())
		s.add(metricMissed, float64(k.GetLost()), k.GetKind())
		s.add(metricEventRate, k.GetRate(), k.GetKind())
	}
	s.add(metricRedacted, float64(st.GetArgsRedacted()))
	s.noLosses(st)
	for _, l := range st.GetLosses() {
		s.add(metricLost, float64(l.GetCount()), l.GetPlace(), l.GetKind())
	}
}

// noLosses makes a series of every loss that can be foreseen: an increase shows only from a
// value that was there before.
func (s samples) noLosses(st *skepv1.GetStatusResponse) {
	for _, k := range st.GetKinds() {
		switch kind := k.GetKind(); kind {
		case event.Loss.String(), event.Agent.String(): // of user space
		default:
			for _, place := range []string{"ring_full", "table_full", "untracked", "restart"} {
				s.add(metricLost, 0, place, kind)
			}
		}
		if st.GetStore() != nil {
			s.add(metricLost, 0, "store", k.GetKind())
		}
		for _, o := range st.GetOutputs() {
			s.add(metricLost, 0, "ship:"+o.GetName(), k.GetKind())
		}
	}
	for _, fixed := range [][2]string{
		{"malformed", "unknown"}, {"undecoded", event.Dns.String()}, {"connections_full", "connection"},
		{"cgroups_full", "cgroup"}, {"containers_full", "cgroup"}, {"resolver_full", "container"},
	} {
		s.add(metricLost, 0, fixed[0], fixed[1])
	}
	for _, p := range st.GetPrograms() {
		s.add(metricLost, 0, "program_missed", p.GetName())
	}
}

func (s samples) subscribers(list []*skepv1.Subscriber) {
	s.add(metricSubscribers, float64(len(list)))
	for _, sub := range list {
		id := strconv.FormatUint(sub.GetId(), 10)
		s.add(metricDelivered, float64(sub.GetDelivered()), id, sub.GetWho())
		s.add(metricSubscriberLost, float64(sub.GetLost()), id, sub.GetWho())
		s.add(metricSubscriberSince, float64(sub.GetSince().AsTime().UnixNano())/1e9, id, sub.GetWho())
	}
}

func (s samples) outputs(list []*skepv1.OutputStatus) {
	for _, o := range list {
		s.add(metricShipped, float64(o.GetDelivered()), o.GetName(), o.GetType())
		s.add(metricShipLost, float64(o.GetLost()), o.GetName(), o.GetType())
		s.add(metricShipFailures, float64(o.GetFailures()), o.GetName(), o.GetType())
	}
}

func (s samples) tables(st *skepv1.GetStatusResponse) {
	tables := map[string]*skepv1.TableStatus{
		"processes": st.GetProcesses(), "connections": st.GetConnections(), "containers": st.GetContainers(),
	}
	for name, t := range tables {
		if t != nil {
			s.add(metricTableEntries, float64(t.GetEntries()), name)
			s.add(metricTableCapacity, float64(t.GetCapacity()), name)
		}
	}
}

func (s samples) store(st *skepv1.StoreStatus) {
	if st == nil {
		return
	}
	s.add(metricStoreBytes, float64(st.GetBytes()))
	s.add(metricStoreMax, float64(st.GetMaxBytes()))
	s.add(metricStoreMaxAge, st.GetMaxAge().AsDuration().Seconds())
	if st.GetOldest() != nil {
		s.add(metricStoreOldest, float64(st.GetOldest().AsTime().UnixNano())/1e9)
	}
	s.add(metricStoreSegments, float64(st.GetSegments()))
	s.add(metricStoreLogs, float64(st.GetLogs()))
	works := 1.0
	if st.GetFailing() != "" {
		works = 0
	}
	s.add(metricStoreWorks, works)
	s.add(metricStoreDamaged, float64(st.GetDamagedSegments()))
	s.add(metricStoreTorn, float64(st.GetDamagedBytes()))
	s.add(metricStoreBroken, float64(st.GetDamagedRecords()))
}

func (s samples) memory(m *skepv1.MemoryStatus) {
	s.add(metricResident, float64(m.GetResidentBytes()))
	s.add(metricKernelMaps, float64(m.GetKernelMapsBytes()))
	for _, each := range m.GetMaps() {
		s.add(metricMapBytes, float64(each.GetBytes()), each.GetName(), each.GetType())
		s.add(metricMapEntries, float64(each.GetMaxEntries()), each.GetName(), each.GetType())
	}
}

// programs adds up programs of one name and hook, but for the mean time of a
// run, which is taken over all of them.
func (s samples) programs(list []*skepv1.ProgramStatus) {
	type place struct{ name, hook string }
	time, rate := map[place]float64{}, map[place]float64{}
	for _, p := range list {
		at := place{p.GetName(), p.GetHook()}
		s.add(metricRuns, float64(p.GetRuns()), at.name, at.hook)
		s.add(metricRunTime, float64(p.GetRunTimeNs())/1e9, at.name, at.hook)
		s.add(metricProgramMissed, float64(p.GetMissed()), at.name, at.hook)
		s.add(metricRunRate, p.GetRunsPerSecond(), at.name, at.hook)
		s.add(metricProgramShare, p.GetCpuShare(), at.name, at.hook)
		s.add(metricInstructions, float64(p.GetInstructions()), at.name, at.hook)
		time[at] += p.GetNsPerRun() / 1e9 * max(p.GetRunsPerSecond(), 1e-9)
		rate[at] += max(p.GetRunsPerSecond(), 1e-9)
	}
	for at := range time {
		s.add(metricRunDuration, time[at]/rate[at], at.name, at.hook)
	}
}

func (s samples) signals(list []*skepv1.SignalStatus) {
	for _, sig := range list {
		s.add(metricSignal, oneIf(sig.GetAvailable()), sig.GetSignal(), sig.GetIntent(), sig.GetRung())
	}
}

func (s samples) server(srv *Server) {
	s.add(metricConnsRefused, float64(srv.admission.refusedMembers.Load()), "yes")
	s.add(metricConnsRefused, float64(srv.admission.refusedStrangers.Load()), "no")
	if l := srv.tls.Load(); l != nil {
		s.add(metricConnsRefused, float64(l.refused.Load()), "unknown")
	}
	s.add(metricAuditFailures, float64(srv.audit.failed.Load()))
	s.add(metricFilterFailures, float64(srv.filterFailures.Load()))
	srv.calls.mu.Lock()
	defer srv.calls.mu.Unlock()
	for _, r := range slices.Collect(maps.Keys(srv.calls.counts)) {
		s.add(metricCalls, float64(srv.calls.counts[r]), r.method, r.code)
	}
}
