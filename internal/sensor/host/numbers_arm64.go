// SPDX-License-Identifier: Apache-2.0

package host

// olderMemoryCalls are those that this architecture has left out.
var olderMemoryCalls []uint32
