// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/skep-io/skep/test/e2e/web/fakeagent"
)

// load is what load.mjs measured on one page.
type load struct {
	View      string
	LongTasks int
	LongestMs int
	BlockedMs int
	Frames    int
	GapP99Ms  int
	HeapMiB   int
	// The worst of the three windows; the others are the median one's.
	WorstBlockedMs int
}

// TestPageUnderLoad: with 5,000 events a second and thousands of processes the
// page goes on answering. Blocked is the time beyond 50 ms in tasks of the
// main thread, in which a user would have waited: at most 5 %, where the
// stream is sampled as the page asks for. The other case, where all 5,000
// records a second reach the page, must only stay bounded.
func TestPageUnderLoad(t *testing.T) {
	needBrowser(t)
	if testing.Short() {
		t.Skip("measures for a minute: not with -short")
	}
	const seconds = 4
	for _, c := range []struct {
		name       string
		opts       fakeagent.Options
		maxBlocked int // ms per second
		views      []string
	}{
		{"sampled", fakeagent.Options{Rate: 5000, Processes: 3000}, 50, []string{"overview", "processes", "processes?group=container", "connections"}},
		{"unsampled", fakeagent.Options{Rate: 5000, Processes: 500, Unsampled: true}, 250, []string{"overview", "processes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := startFake(t, c.opts)
			line := script{}.run(t, append([]string{"load.mjs", h.link, fmt.Sprint(seconds)}, c.views...)...)
			var got struct {
				Results []load
				Shown   string
				Faults  []string
			}
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatalf("result of load.mjs: %v: %s", err, line)
			}
			for _, l := range got.Results {
				t.Logf("%+v", l)
				if l.BlockedMs > c.maxBlocked*seconds || l.HeapMiB > 400 {
					t.Errorf("%s: blocked %d ms of %d s, heap %d MiB", l.View, l.BlockedMs, seconds, l.HeapMiB)
				}
			}
			t.Log(got.Shown)
			if len(got.Faults) > 0 {
				t.Errorf("faults: %q", got.Faults)
			}
		})
	}
}
