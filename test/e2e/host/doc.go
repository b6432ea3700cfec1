// SPDX-License-Identifier: Apache-2.0

// Package host tests the sensor of calls that change the host: processes make such calls,
// and what the kernel answered them is compared with what the agent tells.
package host
