#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Only here a deb's upgrade ("upgrade", an rpm's: 2) is told from installing it again after a
# removal; postinstall.sh, which needs to know, reads it from this file.
set -e
rm -f /run/skep.upgrade
case "$1" in
upgrade | [2-9]) : >/run/skep.upgrade ;;
esac
