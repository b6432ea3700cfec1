// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestWaitTakesNothing: whoever holds the lock sees a change, though the goroutine that waits
// for changes was woken by it and is still on its way.
func TestWaitTakesNothing(t *testing.T) {
	w, err := newWatch()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w.add(dir)
	var mu sync.Mutex
	woken := make(chan struct{}, 16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.wait(ctx, func() {
			woken <- struct{}{}
			mu.Lock()
			defer mu.Unlock()
			w.changed()
		})
	}()
	<-woken // at its start
	mu.Lock()
	if err := os.WriteFile(filepath.Join(dir, "state.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-woken:
	case <-time.After(10 * time.Second):
		t.Fatal("the change woke nobody")
	}
	if !w.changed() {
		t.Error("the goroutine that waits took the change before it had the lock")
	}
	mu.Unlock()
	cancel()
	<-done
	if err := w.file.Close(); err != nil {
		t.Fatal(err)
	}
}
