/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* An operation on a file whose path is watched. */
#pragma once

#include "identity.h"
#include "path.h"

enum file_operation {
	FILE_NONE = 0,
	FILE_OPEN = 1, /* for writing; FILE_CREATED says whether it made the file */
	FILE_MKDIR = 2,
	FILE_MKNOD = 3,
	FILE_RENAME = 4,
	FILE_UNLINK = 5,
	FILE_RMDIR = 6,
	FILE_LINK = 7,
	FILE_SYMLINK = 8,
	FILE_CHMOD = 9,
	FILE_CHOWN = 10,
	FILE_MOUNT = 11, /* no record: what is mounted where changes */
};

enum file_flag {
	FILE_CREATED = 1,
	FILE_HAS_RESULT = 2, /* error is known */
	FILE_NAMED = 4,      /* paths are as the process named them, not as the kernel resolved them */
	FILE_UNPROVEN = 8,   /* that it is watched is likely by its name: user space decides */
	FILE_HOST_ROOT = 16, /* the process's root is the agent's */
	FILE_DEEP = 32,      /* deeper than the search goes: it may be watched */
	FILE_CUT = 64,       /* a name did not fit, or could not be read */
	FILE_DETAILS = 128,  /* details are those of the system call */
};

#define FILE_NAME_BYTES 4096 /* PATH_MAX */

/* The first is what is operated on; the second is the new path of a rename or link, or a symlink's text. */
#define FILE_PATHS 2

/*
 * EVENT_FILE. A path is a walk from the leaf to the root (bpf/include/path.h), a name as
 * the process gave it, or a walk and a name below it. In `text` they follow one another:
 * walk and name of the first, walk and name of the second.
 */
struct file_head {
	struct event_header header;
	struct exec_id owner;
	__u64 inode;  /* of the object; 0 where it is not known */
	__u32 device; /* kernel dev_t */
	__u32 mode;   /* its i_mode; 0 where it is not known */
	/* open: flags, mode; mkdir: -, mode; mknod: device, mode; rename: flags; chmod: -, mode; chown: uid, gid */
	__u32 details[2];
	__s32 error; /* errno, 0 if it succeeded */
	__u16 operation;
	__u16 flags;
	__u16 walk_length[FILE_PATHS], walk_flags[FILE_PATHS], name_length[FILE_PATHS];
	__u32 end; /* sum of the lengths */
};

#define FILE_TEXT_BYTES (FILE_PATHS * (PATH_MAX_BYTES + NAME_MAX_BYTES + FILE_NAME_BYTES))

struct file_record {
	struct file_head;
	char text[FILE_TEXT_BYTES];
};

/* What a hook inside the operation has seen; its system call's end makes it a record. */
#define NOTE_TEXT_BYTES (FILE_PATHS * (PATH_MAX_BYTES + NAME_MAX_BYTES))

struct file_note {
	struct file_head;
	/* What is made has no inode yet: it is looked for at the end, where these still belong together. */
	struct dentry *made, *parent;
	char text[NOTE_TEXT_BYTES];
};

/* What is watched, by object. */
enum file_watch {
	WATCH_TREE = 1,  /* this file, or this directory with all below it */
	WATCH_NAMES = 2, /* some names in this directory: see file_names */
	WATCH_ABOVE = 4, /* on the way to what is watched */
	WATCH_ROOT = 8,  /* the agent's root */
};

struct file_object {
	__u64 inode;
	__u32 device;
	__u32 pad;
};

struct file_name {
	struct file_object directory;
	char name[NAME_MAX_BYTES]; /* filled up with zeros */
};

/* Bits for objects and names, so that what is not watched costs no search in a hash. */
#define FILTER_BITS 32768

struct file_filter {
	__u64 bits[FILTER_BITS / 64];
	__u64 plan; /* counts the changes of what is watched; last, so that it is written last */
};

#define WATCH_PREFIX_BYTES 256

struct file_prefix {
	__u32 bits;
	char path[WATCH_PREFIX_BYTES];
};

/* A system call: which of its six arguments are what, counted from 1; 0: it has none. */
struct file_call {
	__u8 operation;
	__u8 directory[FILE_PATHS]; /* descriptors */
	__u8 name[FILE_PATHS];      /* strings */
	__u8 details[2];
	__u8 how; /* both details are in memory: openat2 */
};

#define FILE_CALLS 512
