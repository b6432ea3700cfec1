/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Cgroups: which there are, and who moves into them. */
#pragma once

#include "record.h"

static __always_inline int on_cgroup(__u16 type, struct cgroup *changed, const char *path)
{
	struct cgroup *cgroup = PLAIN(changed);
	struct cgroup_root *root = LOAD(cgroup, root);

	if (LOAD(root, hierarchy_id) != cfg_cgroup_hierarchy)
		return 0;

	__u32 zero = 0;
	struct cgroup_record *r = bpf_map_lookup_elem(&cgroup_scratch, &zero);

	if (!r)
		return 0;
	struct kernfs_node *kn = LOAD(cgroup, kn);
	long n = 0;

	r->cgroup_id = LOAD(kn, id);
	r->pad = 0;
	if (cfg_probe_read)
		n = bpf_probe_read_kernel_str(r->path, sizeof(r->path), path);
	r->path_length = n > 0 ? n : 0;
	__u64 length = BOUND(sizeof(*r) - sizeof(r->path) + r->path_length, sizeof(*r));

	event_header(&r->header, type, length);
	emit_critical(&r->header, length);
	return 0;
}

static __always_inline int on_attach(struct cgroup *to, struct task_struct *moved)
{
	struct cgroup *cgroup = PLAIN(to);
	struct task_struct *task = PLAIN(moved);
	struct cgroup_root *root = LOAD(cgroup, root);

	if (LOAD(root, hierarchy_id) != cfg_cgroup_hierarchy)
		return 0;
	/* v1 moves single threads too: a process is where its leader is. */
	if (LOAD(task, pid) != LOAD(task, tgid))
		return 0;

	struct attach_record r = {};
	struct process *p = find_process(task);
	struct kernfs_node *kn = LOAD(cgroup, kn);

	r.cgroup_id = LOAD(kn, id);
	find_exec_id(&r.id, task);
	if (p && is_of(p, task))
		p->cgroup_id = r.cgroup_id; /* of no other field: its process may exec meanwhile */
	event_header(&r.header, EVENT_CGROUP_ATTACH, sizeof(r));
	emit_critical(&r.header, sizeof(r));
	return 0;
}
