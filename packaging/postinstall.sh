#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Accounts, and the service where systemd runs; also after an upgrade.
set -e
/usr/bin/skep install --packaged --prefix /usr
