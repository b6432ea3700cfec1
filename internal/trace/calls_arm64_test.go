// SPDX-License-Identifier: Apache-2.0

package trace

import "golang.org/x/sys/unix"

// What there is instead of system calls of older machines.
const sysOpen, sysCreat = unix.SYS_OPENAT, unix.SYS_OPENAT
