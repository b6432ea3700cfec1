#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The guest's init, in two stages; where systemd is wanted it becomes process 1 then, and starts the third.
# /skep/commands gives SKEP_VM_MARK, SKEP_VM_CGROUP_V1, SKEP_VM_SYSTEMD, skep_vm_setup and skep_vm_commands.

export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TMPDIR=/tmp

# Container runtimes call pivot_root(2), which wants a root that is mounted on something, and the initramfs is the one
# that is not. So the root becomes a tmpfs with the initramfs's directories bound into it, not copied.
if [ $# = 0 ]; then
	/bin/busybox mkdir /root.new
	/bin/busybox mount -t tmpfs -o mode=755 tmpfs /root.new
	for entry in /*; do
		if [ "$entry" = /root.new ]; then
			continue
		elif [ -d "$entry" ]; then
			/bin/busybox mkdir "/root.new$entry"
			/bin/busybox mount --bind "$entry" "/root.new$entry"
		else
			/bin/busybox cp -a "$entry" /root.new/
		fi
	done
	cd /root.new || exit
	/bin/busybox mount --move . /
	exec /bin/busybox chroot . /init moved
fi

if [ "$1" = moved ]; then
	/bin/busybox mkdir -p /proc /sys /dev /run /tmp /root /bin /sbin /usr/bin /usr/sbin /var/log /lib /lib64
	/bin/busybox mount -t proc proc /proc
	/bin/busybox --install -s 2>/dev/null # those the caller gave stay
	mount -t sysfs sysfs /sys
	mount -t devtmpfs devtmpfs /dev
fi

. /skep/commands
out=/dev/ttyS1
stty -F $out raw -echo
exec 2>&1

fatal() {
	printf '%s fatal %s\n' "$SKEP_VM_MARK" "$*" >$out
	finish
}

# finish waits until the serial port has sent everything (stty sets attributes after draining), then powers off.
finish() {
	stty -F $out raw -echo
	poweroff -f
}

skep_vm_run() {
	index=$1
	shift
	printf '%s start %d\n' "$SKEP_VM_MARK" "$index" >$out
	"$@" </dev/null >$out 2>&1
	code=$?
	printf '\n%s exit %d %d\n' "$SKEP_VM_MARK" "$index" "$code" >$out
}

mount_all() {
	mkdir -p /dev/pts /dev/shm
	ln -sfn /proc/self/fd /dev/fd
	mount -t devpts devpts /dev/pts &&
		mount -t tmpfs tmpfs /dev/shm &&
		mount -t tmpfs tmpfs /tmp &&
		mount -t tmpfs tmpfs /run &&
		chmod 1777 /tmp /dev/shm &&
		mount -t securityfs securityfs /sys/kernel/security &&
		mount -t tracefs tracefs /sys/kernel/tracing &&
		mount -t debugfs debugfs /sys/kernel/debug &&
		mount -t bpf bpf /sys/fs/bpf &&
		mount_cgroups
}

# mount_cgroups: v2 alone, or the hybrid layout of older systems: v1 hierarchies, and v2 without their controllers.
mount_cgroups() {
	if [ "$SKEP_VM_CGROUP_V1" = false ]; then
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
		return
	fi
	mount -t tmpfs tmpfs /sys/fs/cgroup &&
		mount_v1 systemd none,name=systemd &&
		mount_v1 pids pids &&
		mount_v1 devices devices &&
		mkdir /sys/fs/cgroup/unified &&
		mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified || return
	# Not every kernel still has this one for v1.
	mount_v1 memory memory || rmdir /sys/fs/cgroup/memory
}

mount_v1() {
	mkdir "/sys/fs/cgroup/$1" && mount -t cgroup -o "$2" cgroup "/sys/fs/cgroup/$1"
}

load_modules() {
	for module in /skep/modules/*.ko; do
		[ -e "$module" ] || continue
		insmod "$module" || return
	done
}

run_commands() {
	read -r uptime rest </proc/uptime
	printf '%s ready %s\n' "$SKEP_VM_MARK" "$uptime" >$out
	skep_vm_commands
	printf '%s done\n' "$SKEP_VM_MARK" >$out
	finish
}

# start_systemd makes systemd process 1. When the system is up it starts a service that runs the commands.
start_systemd() {
	mkdir -p /etc/systemd/system/skep-vm.target.wants
	echo 5eb5eb5eb5eb5eb5eb5eb5eb5eb5eb5e >/etc/machine-id # without one systemd enables whatever there is
	printf '[Unit]\nRequires=multi-user.target\nAfter=multi-user.target\nAllowIsolate=yes\n' >/etc/systemd/system/skep-vm.target
	ln -s skep-vm.target /etc/systemd/system/default.target
	cat >/etc/systemd/system/skep-vm.service <<-'END'
		[Unit]
		DefaultDependencies=no
		After=multi-user.target
		[Service]
		Type=oneshot
		ExecStart=/init commands
		TimeoutStartSec=infinity
		LimitMEMLOCK=infinity
	END
	ln -s ../skep-vm.service /etc/systemd/system/skep-vm.target.wants/
	skep_vm_setup || fatal "the setup failed; see the console"
	exec /lib/systemd/systemd
}

[ "$1" = commands ] && run_commands

mount_all || fatal "cannot mount the file systems; see the console"
load_modules || fatal "cannot load $module; see the console"
ip link set lo up || fatal "cannot bring up lo"
hostname skep-vm
ulimit -l unlimited || fatal "cannot raise RLIMIT_MEMLOCK"
[ "$SKEP_VM_SYSTEMD" = true ] && start_systemd
run_commands
