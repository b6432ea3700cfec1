// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"testing"

	"github.com/skep-io/skep/test/e2e/web/fakeagent"
)

// load is what load.mjs measured on one view.
type load struct {
	View string
	// Tasks of the page's main thread, and those that used more than 50 ms of CPU.
	Tasks, LongTasks int
	LongestMs        float64
	// Of one CPU, over the whole window.
	CPUPercent       float64
	LongestByClockMs float64
	HeapMiB          int
}

// TestPageUnderLoad: with 5,000 events a second and thousands of processes no
// task keeps the page from answering for 50 ms. One of a view is forgiven: a
// full garbage collection looks like that. The second case is worse than any
// agent does to the page: no sampling, all 5,000 records a second reach it.
func TestPageUnderLoad(t *testing.T) {
	needBrowser(t)
	if testing.Short() {
		t.Skip("measures for two minutes: not with -short")
	}
	for _, c := range []struct {
		name   string
		opts   fakeagent.Options
		maxCPU float64
		views  []string
	}{
		{"sampled", fakeagent.Options{Rate: 5000, Processes: 3000}, 30, []string{"overview", "processes", "processes?group=container", "connections", "connections?view=graph", "events", "events?span=24h", "dns"}},
		{"unsampled", fakeagent.Options{Rate: 5000, Processes: 3000, Unsampled: true}, 60, []string{"overview", "processes", "connections", "events", "dns"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := startFake(t, c.opts)
			line := script{}.run(t, append([]string{"load.mjs", h.link, "6"}, c.views...)...)
			var got struct {
				Results []load
				Shown   string
				Faults  []string
			}
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatalf("result of load.mjs: %v: %s", err, line)
			}
			t.Log(got.Shown)
			for _, l := range got.Results {
				t.Logf("%+v", l)
				if l.Tasks < 100 {
					t.Errorf("%s: %d tasks: nothing was measured", l.View, l.Tasks)
				}
				if l.LongTasks > 1 || l.CPUPercent > c.maxCPU || l.HeapMiB > 400 {
					t.Errorf("%s: the page does not stay responsive", l.View)
				}
			}
			if len(got.Faults) > 0 {
				t.Errorf("faults: %q", got.Faults)
			}
		})
	}
}
