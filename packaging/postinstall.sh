#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Accounts, and the service where systemd runs; an upgrade starts nothing that is disabled.
set -e
upgrade=
if [ -e /run/skep.upgrade ]; then
	upgrade=--upgrade
fi
/usr/bin/skep install --packaged --prefix /usr $upgrade
rm -f /run/skep.upgrade
