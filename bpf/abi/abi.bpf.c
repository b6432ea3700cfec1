// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Never loaded: names every struct and enum that crosses to user space, so that
 * its BTF holds them all and internal/abi can be generated from it.
 */
#include "../dns/record.h"
#include "../files/record.h"
#include "../host/record.h"
#include "../process/record.h"
#include "../tcp/record.h"
#include "../udp/record.h"
#include "../unix/record.h"

#define EXPORT(kind, name) const volatile kind name *export_##name

EXPORT(enum, event_type);
EXPORT(enum, loss_place);
EXPORT(struct, event_header);
EXPORT(struct, exec_id);
EXPORT(enum, process_flag);
EXPORT(struct, process);
EXPORT(struct, fork_record);
EXPORT(struct, credentials);
EXPORT(struct, namespaces);
EXPORT(enum, path_flag);
EXPORT(enum, exec_flag);
EXPORT(struct, exec_head);
EXPORT(struct, exit_record);
EXPORT(struct, oom_record);
EXPORT(struct, cgroup_record);
EXPORT(struct, attach_record);
EXPORT(enum, tcp_source);
EXPORT(enum, tcp_reason);
EXPORT(enum, tcp_flag);
EXPORT(enum, tcp_accept);
EXPORT(struct, tcp_ends);
EXPORT(struct, tcp_socket);
EXPORT(struct, tcp_traffic);
EXPORT(struct, tcp_count);
EXPORT(struct, tcp_record);
EXPORT(enum, dns_flag);
EXPORT(struct, dns_record);
EXPORT(enum, file_operation);
EXPORT(enum, file_flag);
EXPORT(enum, file_watch);
EXPORT(struct, file_head);
EXPORT(struct, file_object);
EXPORT(struct, file_name);
EXPORT(struct, file_filter);
EXPORT(struct, file_prefix);
EXPORT(struct, file_call);
EXPORT(enum, udp_source);
EXPORT(enum, udp_flag);
EXPORT(struct, udp_key);
EXPORT(struct, udp_flow);
EXPORT(struct, udp_closed);
EXPORT(enum, unix_flag);
EXPORT(struct, unix_record);
EXPORT(enum, host_call);
EXPORT(enum, host_system_call);
EXPORT(enum, host_flag);
EXPORT(struct, host_ids);
EXPORT(struct, host_head);
