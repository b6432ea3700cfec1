/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The process sensor's records, and where those that no stack holds are made. */
#pragma once

#include "identity.h"
#include "path.h"

#define ARGS_BYTES 4096
#define CGROUP_PATH_BYTES 1024
#define FILENAME_BYTES 1024

struct fork_record {
	struct event_header header;
	struct process process;
	char comm[16];
};

struct credentials {
	__u32 uid, gid, euid, egid, suid, sgid, fsuid, fsgid;
	__u32 login_uid;
	__u32 pad;
	__u64 inheritable, permitted, effective, bounding, ambient;
};

struct namespaces {
	__u32 cgroup, ipc, mnt, net, pid, time, user, uts;
};

enum exec_flag {
	EXEC_SETUID = 1,
	EXEC_SETGID = 2,
	EXEC_FILE_CAPS = 4,
	EXEC_UNLINKED = 8,
	EXEC_SCRIPT = 16,
	EXEC_ARGS_TRUNCATED = 32,
	EXEC_NO_PATHS = 64, /* names could not be read here: see /proc */
};

/* The fixed part of an exec record. */
struct exec_head {
	struct event_header header;
	struct process process;
	char comm[16];
	char tty[16];
	struct credentials credentials;
	struct namespaces namespaces;
	__u64 inode;
	__u32 device; /* kernel dev_t: major << 20 | minor */
	__u32 flags;
	__u32 ns_pid;
	__u32 session;
	/* The strings follow one another in text, in this order. */
	__u16 args_length;
	__u16 filename_length;
	__u16 exe_length;
	__u16 cwd_length;
	__u16 exe_path_flags;
	__u16 cwd_path_flags;
	__u32 end; /* sum of the lengths */
};

struct exec_record {
	struct exec_head; /* anonymous: its fields are the record's (-fms-extensions) */
	char text[ARGS_BYTES + FILENAME_BYTES + 2 * (PATH_MAX_BYTES + NAME_MAX_BYTES)];
};

struct exit_record {
	struct event_header header;
	struct process process;
	char comm[16];
	__u32 status; /* as wait(2) gives it */
	__u32 pad;
	__u64 max_rss_pages;
	__u64 user_ns, system_ns; /* tick-based: only their proportion is good */
	__u64 runtime_ns;         /* sum of both, good to a tick for what runs right now */
};

struct oom_record {
	struct event_header header;
	struct exec_id id;
	__u64 cgroup_id;
	__u64 limit_pages, usage_pages;
	__u64 victim_pages;
};

struct cgroup_record {
	struct event_header header;
	__u64 cgroup_id;
	__u32 path_length; /* with its NUL; 0 where it could not be read */
	__u32 pad;
	char path[CGROUP_PATH_BYTES];
};

struct attach_record {
	struct event_header header;
	struct exec_id id;
	__u64 cgroup_id;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2); /* one for each turn */
	__type(key, __u32);
	__type(value, struct exec_record);
} exec_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2); /* one for each turn */
	__type(key, __u32);
	__type(value, struct walk);
} walk_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgroup_record);
} cgroup_scratch SEC(".maps");
