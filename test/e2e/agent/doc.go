// SPDX-License-Identifier: Apache-2.0

// Package agent tests the agent as a whole end to end: how it starts and refuses to,
// what it leaves behind, what survives it, and what it loses and says so.
//
// Tests that start an agent which pins run one at a time on a host, also beside other
// test programs: there can be only one such agent. See lockHost.
package agent
