// SPDX-License-Identifier: Apache-2.0

package files

// older are the system calls that this architecture has left out.
var older = map[int]call{}
