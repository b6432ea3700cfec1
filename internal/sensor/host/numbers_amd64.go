// SPDX-License-Identifier: Apache-2.0

package host

import "golang.org/x/sys/unix"

// olderMemoryCalls are those that later architectures have left out.
var olderMemoryCalls = []uint32{unix.SYS_FORK, unix.SYS_VFORK}
