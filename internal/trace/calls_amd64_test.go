// SPDX-License-Identifier: Apache-2.0

package trace

import "golang.org/x/sys/unix"

// System calls that newer machines do not have.
const sysOpen, sysCreat = unix.SYS_OPEN, unix.SYS_CREAT
