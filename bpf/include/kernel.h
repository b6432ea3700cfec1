/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The kernel structs that skep reads, with only the fields that it reads.
 * CO-RE relocates every access against the running kernel's BTF, so order
 * and size here mean nothing; names and types do.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include <stdbool.h>

#define CO_RE __attribute__((preserve_access_index))

typedef struct { __u32 val; } kuid_t;
typedef struct { __u32 val; } kgid_t;
typedef struct { int counter; } atomic_t;

struct kernfs_node {
	__u64 id;
} CO_RE;

struct cgroup_root {
	int hierarchy_id;
} CO_RE;

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
	int level;
} CO_RE;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
} CO_RE;

/* The only member whose value matters is the one that CO-RE looks up by name. */
enum cgroup_subsys_id {
	memory_cgrp_id = 4,
	CGROUP_SUBSYS_COUNT = 16,
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
} CO_RE;

typedef struct { __u64 val; } kernel_cap_t;

/* Before 6.3 a capability set was two words. */
struct kernel_cap_struct___old {
	__u32 cap[2];
} CO_RE;

struct cred {
	kuid_t uid, suid, euid, fsuid;
	kgid_t gid, sgid, egid, fsgid;
	kernel_cap_t cap_inheritable, cap_permitted, cap_effective, cap_bset, cap_ambient;
	struct user_namespace *user_ns;
} CO_RE;

struct proc_ns_operations {
	int type; /* before 6.18 */
} CO_RE;

struct ns_common {
	unsigned int inum;
	const struct proc_ns_operations *ops;
	__u32 ns_type; /* since 6.18 */
} CO_RE;

struct uts_namespace { struct ns_common ns; } CO_RE;
struct ipc_namespace { struct ns_common ns; } CO_RE;
struct mnt_namespace { struct ns_common ns; } CO_RE;
struct pid_namespace { struct ns_common ns; unsigned int level; } CO_RE;
struct net           { struct ns_common ns; } CO_RE;
struct time_namespace { struct ns_common ns; } CO_RE;
struct cgroup_namespace { struct ns_common ns; } CO_RE;

struct uid_gid_extent { __u32 first, lower_first, count; } CO_RE;

/* More than five extents are kept elsewhere: extent[] is then a pointer's bytes. */
struct uid_gid_map {
	__u32 nr_extents;
	struct uid_gid_extent extent[5];
} CO_RE;

struct user_namespace {
	struct ns_common ns;
	struct uid_gid_map uid_map;
	int level;
} CO_RE;

/* How a mount translates ids: by nothing in the one that all mounts without have. */
struct mnt_idmap {
	struct uid_gid_map uid_map;
	struct user_namespace *owner; /* 6.2 to 6.6, for uid_map */
} CO_RE;

struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
	struct time_namespace *time_ns;
	struct cgroup_namespace *cgroup_ns;
} CO_RE;

struct upid {
	int nr;
	struct pid_namespace *ns;
} CO_RE;

struct hlist_node {
	struct hlist_node *next;
} CO_RE;

struct hlist_head {
	struct hlist_node *first;
} CO_RE;

struct pid {
	unsigned int level;
	struct hlist_head tasks[4]; /* by enum pid_type */
	struct upid numbers[1];
} CO_RE;

struct qstr {
	union {
		struct {
			__u32 hash;
			__u32 len;
		};
		__u64 hash_len;
	};
	const unsigned char *name;
} CO_RE;

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
} CO_RE;

struct inode {
	unsigned short i_mode;
	struct hlist_head i_dentry;
	kuid_t i_uid;
	kgid_t i_gid;
	unsigned long i_ino;
	unsigned int i_nlink;
	struct super_block *i_sb;
	void *i_private;
} CO_RE;

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct super_block *d_sb;
	union {
		struct hlist_node d_alias;
	} d_u;
} CO_RE;

/* Since 7.0 the union has no name. */
struct dentry___unnamed {
	struct hlist_node d_alias;
} CO_RE;

struct vfsmount {
	struct dentry *mnt_root;
	struct mnt_idmap *mnt_idmap;       /* since 6.2 */
	struct user_namespace *mnt_userns; /* 5.12 to 6.1 */
} CO_RE;

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	__u64 mnt_id_unique; /* 6.8 */
} CO_RE;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} CO_RE;

struct file {
	unsigned int f_mode, f_flags;
	struct path f_path;
	struct inode *f_inode;
} CO_RE;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} CO_RE;

struct files_struct {
	struct fdtable *fdt;
} CO_RE;

/* A process's registers at its system call. */
struct pt_regs {
	unsigned long di;
} CO_RE;

struct pt_regs___x86 {
	unsigned long di, si, dx, cx, r10, r8, ax, orig_ax;
} CO_RE;

struct pt_regs___arm64 {
	__u64 regs[31];
	__u64 orig_x0;
	__s32 syscallno;
} CO_RE;

struct thread_info {
	__u32 status;
} CO_RE;

struct fs_struct {
	struct path root, pwd;
} CO_RE;

struct mm_struct {
	unsigned long arg_start, arg_end, env_end;
	struct file *exe_file;
} CO_RE;

/* Resident pages by type: percpu counters since 6.2, plain ones before. */
struct percpu_counter {
	__s64 count;
} CO_RE;

struct mm_struct___percpu {
	struct percpu_counter rss_stat[4];
} CO_RE;

struct mm_rss_stat {
	struct { long counter; } count[4];
} CO_RE;

struct mm_struct___plain {
	struct mm_rss_stat rss_stat;
} CO_RE;

struct list_head {
	struct list_head *next;
} CO_RE;

struct tty_struct {
	char name[64];
} CO_RE;

struct signal_struct {
	atomic_t live;
	int nr_threads;
	int group_exit_code;
	unsigned int flags;
	struct tty_struct *tty;
	struct pid *pids[4];
	struct list_head thread_head;
	__u64 utime, stime;
	unsigned long maxrss;
	unsigned long long sum_sched_runtime;
} CO_RE;

struct sched_entity {
	__u64 sum_exec_runtime;
} CO_RE;

struct task_struct {
	int pid, tgid;
	int exit_code;
	unsigned int flags;
	struct task_struct *real_parent, *group_leader;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct thread_info thread_info;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	const struct cred *cred, *real_cred;
	struct css_set *cgroups;
	struct pid *thread_pid;
	struct list_head thread_node;
	struct list_head ptraced, ptrace_entry;
	__u64 start_boottime;
	__u64 utime, stime;
	struct sched_entity se;
	kuid_t loginuid;
	__u64 self_exec_id;
	char comm[16];
} CO_RE;

struct kernel_siginfo {
	int si_code;
} CO_RE;

struct module {
	char name[56];
} CO_RE;

struct linux_binprm {
	struct file *file;
	int argc;
	unsigned int per_clear;
	const char *filename;
	const char *interp;
} CO_RE;

struct page_counter {
	struct { long counter; } usage;
	unsigned long max;
} CO_RE;

struct mem_cgroup {
	struct cgroup_subsys_state css;
	struct page_counter memory;
} CO_RE;

typedef struct { struct net *net; } CO_RE possible_net_t;
typedef struct { int owned; } CO_RE socket_lock_t;

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
} CO_RE;

struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
	unsigned long skc_flags;
} CO_RE;

struct sk_buff {
	struct sock *sk;
} CO_RE;

struct socket {
	short type;
	struct sock *sk;
} CO_RE;

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	struct socket *sk_socket;
	socket_lock_t sk_lock;
	__u16 sk_protocol, sk_type;
	__u8 sk_shutdown;
	__u32 sk_max_ack_backlog;
	struct pid *sk_peer_pid; /* since 5.14 changed under a lock of its own only */
	const struct cred *sk_peer_cred;
} CO_RE;

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
} CO_RE;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	void *icsk_ulp_data;
} CO_RE;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 bytes_sent, bytes_retrans, bytes_received, bytes_acked;
	__u32 snd_una, snd_nxt, write_seq;
	__u32 segs_out, segs_in;
	__u32 srtt_us, mdev_us;
	__u32 total_retrans;
	bool is_mptcp; /* CONFIG_MPTCP */
} CO_RE;

struct mptcp_sock {
	struct inet_connection_sock sk;
	struct sock *first; /* its first subflow */
} CO_RE;

/* What a subflow keeps of its MPTCP socket. */
struct mptcp_subflow_context {
	struct sock *conn;
} CO_RE;

/* Since 6.10 inet_csk_accept takes this instead of three arguments. */
struct proto_accept_arg {
	int flags;
} CO_RE;
