// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"strings"
	"testing"
)

func TestCheckPIDNamespace(t *testing.T) {
	// Any file but the initial namespace's stands for another namespace.
	if err := checkPIDNamespace("/proc/self/status"); err == nil || !strings.Contains(err.Error(), "hostPID") {
		t.Errorf("another namespace: %v", err)
	}
	if err := checkPIDNamespace("/proc/self/nonexistent"); err == nil {
		t.Error("no /proc: no error")
	}
}

func TestCheckUserNamespace(t *testing.T) {
	if err := checkUserNamespace("/proc/self/status"); err == nil || !strings.Contains(err.Error(), "user namespace") {
		t.Errorf("another namespace: %v", err)
	}
	if err := checkUserNamespace("/proc/self/nonexistent"); err == nil {
		t.Error("no /proc: no error")
	}
}
