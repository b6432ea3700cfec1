// SPDX-License-Identifier: Apache-2.0

// Package files tests the file sensor with real programs on real files: what they did and
// what the kernel answered them is compared with what the agent tells.
package files
