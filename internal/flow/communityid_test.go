// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"net/netip"
	"testing"
)

// The vectors are the specification's.
func TestCommunityID(t *testing.T) {
	for _, test := range []struct {
		a, b     string
		protocol uint8
		seed     uint16
		want     string
	}{
		{"128.232.110.120:34855", "66.35.250.204:80", 6, 0, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"128.232.110.120:34855", "66.35.250.204:80", 6, 1, "1:3V71V58M3Ksw/yuFALMcW0LAHvc="},
		{"192.168.1.52:54585", "8.8.8.8:53", 17, 0, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{"[::ffff:128.232.110.120]:34855", "66.35.250.204:80", 6, 0, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
	} {
		a, b := EndOf(netip.MustParseAddrPort(test.a)), EndOf(netip.MustParseAddrPort(test.b))
		if got := CommunityID(a, b, test.protocol, test.seed); got != test.want {
			t.Errorf("CommunityID(%s, %s, %d, %d) = %s, want %s", test.a, test.b, test.protocol, test.seed, got, test.want)
		}
		if got := CommunityID(b, a, test.protocol, test.seed); got != test.want {
			t.Errorf("CommunityID(%s, %s) = %s, want %s as the other way round", test.b, test.a, got, test.want)
		}
	}
}
