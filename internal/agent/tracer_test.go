// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"

	"github.com/skep-io/skep/internal/server"
	"github.com/skep-io/skep/internal/trace"
)

// TestSignalReason: what the server says is what the script's session understands; they do
// not know each other.
func TestSignalReason(t *testing.T) {
	if server.ConfirmedReason != trace.ConfirmedReason {
		t.Errorf("the server says %q, a session understands %q", server.ConfirmedReason, trace.ConfirmedReason)
	}
	if server.SignalReason != trace.SignalReason {
		t.Errorf("the server says %q, a session understands %q", server.SignalReason, trace.SignalReason)
	}
}
