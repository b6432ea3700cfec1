// SPDX-License-Identifier: Apache-2.0

package kern

import "unsafe"

func addressOf(n *uint64) uint64 { return uint64(uintptr(unsafe.Pointer(n))) }
