// SPDX-License-Identifier: Apache-2.0

// Package reach tests "skep -H" end to end: the real ssh, a real sshd for each
// host, a real skepd behind it. A host is a listener of the test on loopback
// that starts sshd -i for each connection, so that no port is fixed and the
// test can also be a host that hangs, refuses or dies.
package reach
