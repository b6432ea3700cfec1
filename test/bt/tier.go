// SPDX-License-Identifier: Apache-2.0

package main

import "regexp"

// Tiers are what a case needs of the kernel; each is the first of these that fits.
const (
	tierFunctions = "kernel functions" // kprobe, kretprobe, fentry, fexit
	tierUser      = "user space"       // uprobe, uretprobe, usdt, watchpoint
	tierKernel    = "kernel events"    // tracepoint, rawtracepoint, software, hardware, iter
	tierLanguage  = "language"         // begin, end, timers alone
	tierLists     = "lists"            // -l
)

var tiers = []string{tierLanguage, tierKernel, tierUser, tierFunctions, tierLists}

var (
	listFlag  = regexp.MustCompile(`\{\{BPFTRACE\}\}( -[-a-z]+)* -lv?\b`)
	functions = regexp.MustCompile(`\b(kprobe|kretprobe|kfunc|kretfunc|fentry|fexit|k|kr|f|fr):`)
	user      = regexp.MustCompile(`\b(uprobe|uretprobe|usdt|watchpoint|asyncwatchpoint|u|ur|U|w|aw):`)
	events    = regexp.MustCompile(`\b(tracepoint|rawtracepoint|software|hardware|iter|t|rt|s|h|it):`)
)

// tier is what a case needs, by the probes in its text.
func (c *testCase) tier() string {
	text := c.text()
	switch {
	case listFlag.MatchString(text):
		return tierLists
	case functions.MatchString(text):
		return tierFunctions
	case user.MatchString(text):
		return tierUser
	case events.MatchString(text):
		return tierKernel
	}
	return tierLanguage
}
