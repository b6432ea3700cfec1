// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"strings"
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

// yardstickMs is what load.mjs's fixed piece of work takes on the machine on which the
// limits below were set: on a slower one they are that much wider.
const yardstickMs = 25

// loads is all that load.mjs found out.
type loads struct {
	Results     []load
	YardstickMs float64
	Shown       string
	Faults      []string
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
		shown  string
		views  []string
	}{
		{"sampled", fakeagent.Options{Rate: 5000, Processes: 3000}, 30, "sampled by the agent",
			[]string{"overview", "processes", "processes?group=container", "connections", "connections?view=graph", "events", "events?span=24h", "dns", "files"}},
		{"unsampled", fakeagent.Options{Rate: 5000, Processes: 3000, Unsampled: true}, 60, "showing all",
			[]string{"overview", "processes", "connections", "events", "dns", "files"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := startFake(t, c.opts)
			// What else the machine does makes a view slower, and never faster.
			views := c.views
			for range 3 {
				got := measureLoads(t, h.link, views)
				if !strings.Contains(got.Shown, c.shown) {
					t.Errorf("the page says %q, want %q", got.Shown, c.shown)
				}
				if len(got.Faults) > 0 {
					t.Errorf("faults: %q", got.Faults)
				}
				scale := max(1, got.YardstickMs/yardstickMs)
				views = nil
				for _, l := range got.Results {
					if l.LongTasks > 1 && l.LongestMs > 50*scale || l.CPUPercent > c.maxCPU*scale || l.HeapMiB > 400 {
						views = append(views, l.View)
					}
				}
				if len(views) == 0 {
					return
				}
			}
			t.Errorf("the page does not stay responsive, three times in a row: %q", views)
		})
	}
}

func measureLoads(t *testing.T, link string, views []string) (got loads) {
	t.Helper()
	line := script{}.run(t, append([]string{"load.mjs", link, "4"}, views...)...)
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("result of load.mjs: %v: %s", err, line)
	}
	t.Logf("%s; the yardstick takes %.1f ms", got.Shown, got.YardstickMs)
	for _, l := range got.Results {
		t.Logf("%+v", l)
		if l.Tasks < 100 {
			t.Errorf("%s: %d tasks: nothing was measured", l.View, l.Tasks)
		}
	}
	return got
}
