// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"syscall"
	"testing"

	"connectrpc.com/connect"
)

// TestReaderGone: that the output's reader has had enough is no failure; that the agent
// has hung up is one.
func TestReaderGone(t *testing.T) {
	if !readerGone(fmt.Errorf("write records: %w", syscall.EPIPE)) {
		t.Error("head has had enough, and that is an error")
	}
	if readerGone(connect.NewError(connect.CodeUnavailable, fmt.Errorf("write: %w", syscall.EPIPE))) {
		t.Error("the agent has hung up, and that is no error")
	}
}
