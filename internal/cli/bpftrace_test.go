// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"reflect"
	"strings"
	"testing"
)

func TestDropIn(t *testing.T) {
	for call, want := range map[string]string{
		"-e P":                     "trace -e P --",
		"-lv kprobe:*":             "trace -l -v -- kprobe:*",
		"x.bt --no-warnings 1 two": "trace --no-warnings -- x.bt 1 two",
		"x.bt -p 7 7":              "trace -p 7 -- x.bt 7",
		"-qf json -eP -- -v":       "trace -q -o json -e P -- -v",
		"-B none -I /usr --include errno.h -k --unsafe -c ls -e P": "trace -k --unsafe -c ls -e P --",
		"--include=errno.h -":           "trace -- -",
		"--list --verbose t:*":          "trace -l -v -- t:*",
		"--cmd ls --pid=7 --quiet -e P": "trace -c ls -p 7 -q -e P --",
	} {
		a := &app{out: &strings.Builder{}, err: &strings.Builder{}}
		got, _, done := a.dropIn(strings.Fields(call))
		if done || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, expected %q", call, strings.Join(got, " "), want)
		}
	}
}

func TestDropInRefuses(t *testing.T) {
	for call, want := range map[string]struct {
		code     int
		out, err string
	}{
		"-p 12x":    {exitFailed, "", "ERROR: Failed to parse pid: pid '12x' is not a valid decimal number\n"},
		"-p 0":      {exitFailed, "", "ERROR: Failed to parse pid: pid '0' out of valid pid range [1,4194304]\n"},
		"-f yaml":   {exitFailed, "", "ERROR: Invalid output format \"yaml\"\n"},
		"-e":        {exitFailed, "", "bpftrace: there is no flag -e, or it lacks its value\n" + bpftraceUsage},
		"--nothing": {exitFailed, "", "bpftrace: there is no flag --nothing, or it lacks its value\n" + bpftraceUsage},
		"-h":        {exitOK, bpftraceUsage, ""},
		"-V":        {exitOK, "bpftrace v0.23 is the language; skep v1 runs it\n", ""},
	} {
		var out, errs strings.Builder
		a := &app{out: &out, err: &errs, version: "v1"}
		_, code, done := a.dropIn(strings.Fields(call))
		if !done || code != want.code || out.String() != want.out || errs.String() != want.err {
			t.Errorf("%s: %v %d %q %q", call, done, code, out.String(), errs.String())
		}
	}
}

func TestTraceSettings(t *testing.T) {
	got := traceSettings([]string{"BPFTRACE_MAX_STRLEN=64", "BPFTRACE_DEBUG_OUTPUT=1", "HOME=/", "BPFTRACE_STACK_MODE=a=b"})
	if want := map[string]string{"max_strlen": "64", "stack_mode": "a=b"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, expected %v", got, want)
	}
}
