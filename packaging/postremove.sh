#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Only "apt purge" takes data and accounts; an rpm's stay. It does what "skep uninstall --purge"
# does, with the default directories: skep and its configuration are gone by now.
set -e
if [ "$1" = purge ]; then
	if [ -e /var/lib/skep/node_id ]; then
		rm -rf /var/lib/skep
	elif [ -e /var/lib/skep ]; then
		echo "leave /var/lib/skep: there is no node_id in it, so it may not be skep's; remove it by hand"
	fi
	rm -rf /var/log/skep /etc/skep
	userdel skep-web 2>/dev/null || true # it may be gone
	for group in skep-web skep-operators skep; do # not every userdel takes the user's own
		groupdel "$group" 2>/dev/null || true
	done
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
