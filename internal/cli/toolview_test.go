// SPDX-License-Identifier: Apache-2.0

package cli

import "testing"

// TestTitles: values with units of their own are not under the name of one.
func TestTitles(t *testing.T) {
	titles := map[string]string{}
	for _, tool := range allTools() {
		for _, m := range tool.Maps {
			titles[tool.Name+" "+m.Name] = valueTitle(m)
		}
	}
	for name, want := range map[string]string{"syscount @ns": "TIME", "hardirqs @ns": "TIME", "funccount @calls": "CALLS", "biotop @bytes": "BYTES"} {
		if titles[name] != want {
			t.Errorf("%s is titled %q, want %q", name, titles[name], want)
		}
	}
}
