// SPDX-License-Identifier: Apache-2.0

// Package dns checks the DNS records of a running agent against what tcpdump captured
// and tshark decoded, with a real server and real clients in a network namespace.
package dns
