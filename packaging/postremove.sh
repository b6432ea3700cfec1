#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Only "apt purge" takes data and accounts; an rpm's stay.
set -e
if [ "$1" = purge ]; then
	rm -rf /var/lib/skep /var/log/skep /etc/skep
	for name in skep-web skep-operators skep; do
		userdel "$name" 2>/dev/null || groupdel "$name" 2>/dev/null || true
	done
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
