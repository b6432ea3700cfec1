// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// TestForbidden: what the verifier refuses says nothing of other programs.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		what string
		err  error
		want bool
	}{
		{"a host that forbids them", fmt.Errorf("load: %w", &ebpf.VerifierError{Cause: unix.EPERM}), true},
		{"no log but statistics", &ebpf.VerifierError{Cause: unix.EPERM, Log: []string{"processed 0 insns (limit 1000000)"}}, true},
		{"without a verifier", fmt.Errorf("load: %w", unix.EPERM), true},
		{"the verifier", &ebpf.VerifierError{Cause: unix.EPERM, Log: []string{"R1 pointer comparison prohibited"}}, false},
		{"a function that is not there", fmt.Errorf("load: %w", unix.ENOENT), false},
		{"nothing", nil, false},
	} {
		if got := forbidden(c.err); got != c.want {
			t.Errorf("%s: %t", c.what, got)
		}
	}
}
