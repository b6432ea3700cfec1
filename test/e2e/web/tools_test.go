// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestTools runs tools from the page, with a link that may and one that may not.
func TestTools(t *testing.T) {
	needBrowser(t)
	h := startAgent(t, "")
	link := serve(t, h.dir, h.socket)
	argument := fmt.Sprintf("skep-tools-%d", time.Now().UnixNano())
	script{func(what string) error {
		if what == "open" {
			return openMissing(h.dir, argument)
		}
		spin(2 * time.Second)
		return nil
	}}.run(t, "tools.mjs", link("view"), link("operate"), argument, strconv.Itoa(os.Getpid()))
}

// openMissing opens seven files that are not there, one of them with a hostile name.
func openMissing(dir, argument string) error {
	for i := range 7 {
		name := fmt.Sprintf("%s-%d", argument, i)
		if i == 3 {
			name += "<img src=x>"
		}
		if _, err := os.Open(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("open %s: %v, which is not there", name, err)
		}
	}
	return nil
}

// spin is busy in a way that a profile shows, and gives the processor away now and then.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		sum := 0
		for i := range 1_000_000 {
			sum += i * i
		}
		if sum == 1 {
			panic("unreachable")
		}
		time.Sleep(time.Millisecond)
	}
}
