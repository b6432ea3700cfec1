// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"testing"
)

func TestChanged(t *testing.T) {
	if got := Changed(Default(), Default()); got != nil {
		t.Errorf("nothing changed, got %v", got)
	}
	now := Default()
	now.Socket, now.Log.Level, now.Redact.Args, now.Containers.Sockets = "/x", "debug", []string{"a"}, nil
	want := "[socket log.level containers.sockets redact.args]"
	if got := fmt.Sprint(Changed(Default(), now)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
