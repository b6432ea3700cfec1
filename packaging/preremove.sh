#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A deb is removed with "remove", an rpm with 0 others left; an upgrade keeps everything.
set -e
case "$1" in
remove | 0) /usr/bin/skep uninstall --packaged --prefix /usr ;;
esac
