// SPDX-License-Identifier: Apache-2.0

package server

import "testing"

// TestListenBeforeTheNetwork: addresses that no interface has yet are taken.
func TestListenBeforeTheNetwork(t *testing.T) {
	for _, address := range []string{"192.0.2.1:0", "[2001:db8::1]:0", "127.0.0.1:0", ":0"} {
		l, err := ListenTCP(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		l.Close()
	}
}
