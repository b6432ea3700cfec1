// SPDX-License-Identifier: Apache-2.0

package server

import "github.com/prometheus/client_golang/prometheus"

// metric is one name of the metrics.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func counter(name, help string, labels ...string) *metric {
	return &metric{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

func gauge(name, help string, labels ...string) *metric {
	return &metric{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

var (
	metricInfo          = gauge("skep_agent_info", "Always 1; says which agent this is.", "version", "node_id", "boot_id", "node_name")
	metricStart         = gauge("skep_agent_start_time_seconds", "When the agent started, in seconds since the Unix epoch.")
	metricUptime        = gauge("skep_agent_uptime_seconds", "How long the agent has been running.")
	metricAgentCPU      = counter("skep_agent_cpu_seconds_total", "CPU time that the agent's process has used.")
	metricAgentShare    = gauge("skep_agent_cpu_ratio", "Share of one CPU that the agent's process used in the last interval.")
	metricProgramsShare = gauge("skep_programs_cpu_ratio", "Share of one CPU that all BPF programs used in the last interval.")

	metricCPULimit    = gauge("skep_budget_cpu_limit_ratio", "What the agent and its programs may take of one CPU; absent without a limit.")
	metricCPUHeld     = gauge("skep_budget_cpu_ratio", "What the agent and its programs take of one CPU, as it is held against the limit.")
	metricMemoryLimit = gauge("skep_budget_memory_limit_bytes", "Memory that the agent and its maps may take; absent without a limit.")
	metricMemoryHeld  = gauge("skep_budget_memory_bytes", "Memory that the agent and its maps take, as it is held against the limit.")
	metricExhausted   = gauge("skep_budget_exhausted", "1 if the agent is over a limit and has nothing left to shed.")
	metricShed        = gauge("skep_sensor_shed", "1 if a sensor is detached for now to keep the budget.", "sensor")
	metricShedSince   = gauge("skep_sensor_shed_time_seconds", "Since when a sensor is shed, in seconds since the Unix epoch.", "sensor")
	metricSheds       = counter("skep_sensor_sheds_total", "How often a sensor was shed.", "sensor")

	metricEvents    = counter("skep_events_total", "Events that the agent received.", "kind")
	metricMissed    = counter("skep_events_missed_total", "Events that were lost before the agent, at all places together.", "kind")
	metricLost      = counter("skep_events_lost_total", "Events that were lost, by place.", "place", "kind")
	metricEventRate = gauge("skep_events_per_second", "Events received a second over the last ten seconds.", "kind")

	metricRedacted = counter("skep_args_redacted_total", "Arguments of processes in which a secret was replaced.")

	metricSubscribers     = gauge("skep_subscribers", "Readers of the event stream.")
	metricDelivered       = counter("skep_subscriber_delivered_total", "Records delivered to a reader.", "subscriber", "who")
	metricSubscriberLost  = counter("skep_subscriber_lost_total", "Records that a reader was too slow for.", "subscriber", "who")
	metricSubscriberSince = gauge("skep_subscriber_start_time_seconds", "When a reader came, in seconds since the Unix epoch.", "subscriber", "who")

	metricShipped      = counter("skep_ship_delivered_total", "Records that an output has delivered.", "output", "type")
	metricShipLost     = counter("skep_ship_lost_total", "Records that an output has lost: overtaken by the log, or refused by the receiver.", "output", "type")
	metricShipFailures = counter("skep_ship_failures_total", "Attempts of an output that failed and were made again.", "output", "type")

	metricTableEntries  = gauge("skep_table_entries", "Entries of a table of the agent.", "table")
	metricTableCapacity = gauge("skep_table_capacity", "Entries that a table of the agent can hold.", "table")

	metricStoreBytes    = gauge("skep_store_bytes", "Size of all files of the disk log.")
	metricStoreMax      = gauge("skep_store_max_bytes", "What the files of the disk log may be together.")
	metricStoreMaxAge   = gauge("skep_store_max_age_seconds", "How long records are kept at most.")
	metricStoreOldest   = gauge("skep_store_oldest_time_seconds", "When the oldest record happened, in seconds since the Unix epoch.")
	metricStoreSegments = gauge("skep_store_segments", "Parquet files of the disk log.")
	metricStoreLogs     = gauge("skep_store_logs", "Logs that are not closed into segments yet.")
	metricStoreWorks    = gauge("skep_store_available", "1 if records are being stored.")
	metricStoreDamaged  = counter("skep_store_damaged_segments_total", "Segments that were found damaged when they were read.")
	metricStoreTorn     = counter("skep_store_damaged_bytes_total", "Bytes of logs that were torn by a crash, or are damaged.")
	metricStoreBroken   = counter("skep_store_damaged_records_total", "Records of logs that could not be read because of damage.")

	metricResident   = gauge("skep_agent_resident_memory_bytes", "Resident memory of the agent's process, without the pages of its BPF maps.")
	metricKernelMaps = gauge("skep_maps_memory_bytes", "Memory of all BPF maps in the kernel.")
	metricMapBytes   = gauge("skep_map_memory_bytes", "Memory of a BPF map in the kernel.", "map", "type")
	metricMapEntries = gauge("skep_map_capacity", "Entries that a BPF map can hold.", "map", "type")

	metricRuns          = counter("skep_program_runs_total", "Runs of a BPF program.", "program", "hook")
	metricRunTime       = counter("skep_program_run_seconds_total", "CPU time of a BPF program.", "program", "hook")
	metricProgramMissed = counter("skep_program_missed_total", "Runs of a BPF program that the kernel left out.", "program", "hook")
	metricRunRate       = gauge("skep_program_runs_per_second", "Runs of a BPF program a second in the last interval.", "program", "hook")
	metricRunDuration   = gauge("skep_program_run_duration_seconds", "Mean time of a run of a BPF program in the last interval.", "program", "hook")
	metricProgramShare  = gauge("skep_program_cpu_ratio", "Share of one CPU that a BPF program used in the last interval.", "program", "hook")
	metricInstructions  = gauge("skep_program_instructions", "Instructions of a BPF program.", "program", "hook")

	metricSignal = gauge("skep_signal_available", "1 if a signal can be seen (or denied, or killed on) here.", "signal", "intent", "rung")

	metricTraceRuns   = gauge("skep_trace_script_running", "1 if an installed script runs.", "script")
	metricTraceSince  = gauge("skep_trace_script_start_time_seconds", "When an installed script was attached, in seconds since the Unix epoch.", "script")
	metricTraceProbes = gauge("skep_trace_script_probes", "Probes of an installed script.", "script")
	metricTraceEvents = counter("skep_trace_script_events_total", "What an installed script has said since it was attached.", "script")
	metricTraceLost   = counter("skep_trace_script_lost_total", "What an installed script could not say, or its log could not take.", "script")
	metricTraceLog    = gauge("skep_trace_script_log_bytes", "Size of the log of an installed script.", "script")

	metricCalls          = counter("skep_api_calls_total", "Calls of the API that have ended, also refused ones.", "method", "code")
	metricConnsRefused   = counter("skep_api_connections_refused_total", "Connections to the API that found no place, of users with a role (yes) or without (no), and those over TCP without a good certificate (unknown).", "role")
	metricAuditFailures  = counter("skep_audit_failures_total", "Lines of the audit log that could not be written.")
	metricFilterFailures = counter("skep_filter_failures_total", "Records on which a reader's expression failed; they did not match.")
)

var allMetrics = []*metric{
	metricInfo, metricStart, metricUptime, metricAgentCPU, metricAgentShare, metricProgramsShare,
	metricCPULimit, metricCPUHeld, metricMemoryLimit, metricMemoryHeld, metricExhausted, metricShed, metricShedSince, metricSheds,
	metricEvents, metricMissed, metricLost, metricEventRate, metricRedacted,
	metricSubscribers, metricDelivered, metricSubscriberLost, metricSubscriberSince,
	metricShipped, metricShipLost, metricShipFailures,
	metricTableEntries, metricTableCapacity,
	metricStoreBytes, metricStoreMax, metricStoreMaxAge, metricStoreOldest, metricStoreSegments, metricStoreLogs, metricStoreWorks,
	metricStoreDamaged, metricStoreTorn, metricStoreBroken,
	metricResident, metricKernelMaps, metricMapBytes, metricMapEntries,
	metricRuns, metricRunTime, metricProgramMissed, metricRunRate, metricRunDuration, metricProgramShare, metricInstructions,
	metricTraceRuns, metricTraceSince, metricTraceProbes, metricTraceEvents, metricTraceLost, metricTraceLog,
	metricSignal, metricCalls, metricConnsRefused, metricAuditFailures, metricFilterFailures,
}
