// SPDX-License-Identifier: Apache-2.0

package house

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// forbidden is what no file may say: it is true on one machine only.
var forbidden = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`(^|[\s"'=(:])/(` + `work|home/[a-z][a-z0-9_-]*|Users/[A-Za-z]+)/`), "a path of somebody's machine"},
	{regexp.MustCompile(`"resolved":\s*"http`), "a registry in a lock file: it binds the build to that host"},
	{regexp.MustCompile(`(?i)\b(registry\.npm` + `js\.org|registry\.yarn` + `pkg\.com|proxy\.golang` + `\.org|sum\.golang` + `\.org|artifactory[.-]|nexus\.)`), "a registry's host: registries are configured outside"},
	{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`), "a private key"},
	{regexp.MustCompile(`^(<{7} |>{7} |={7}$)`), "a merge conflict"},
}

// faults names the lines of a text that say what is forbidden.
func faults(name string, text []byte) []string {
	var found []string
	if bytes.IndexByte(text, 0) >= 0 {
		return nil // a compiled object
	}
	for i, line := range bytes.Split(text, []byte("\n")) {
		for _, f := range forbidden {
			if m := f.pattern.Find(line); m != nil {
				found = append(found, fmt.Sprintf("%s:%d: %s: %s", name, i+1, bytes.TrimSpace(m), f.why))
			}
		}
	}
	return found
}

func TestHygiene(t *testing.T) {
	for _, f := range files(t) {
		if strings.HasPrefix(f.name, "LICENSE") || strings.HasPrefix(f.name, "test/house/") {
			continue // the rules and their examples are here
		}
		for _, fault := range faults(f.name, f.text) {
			t.Error(fault)
		}
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
	}{
		{"plain text about work/life and https://example.test/home/page\n", 0},
		{"cd /work" + "/main\n", 1},
		{`open("/home/` + `anna/x")`, 1},
		{`"resolved": "https://some.host/x.tgz"`, 1},
		{"https://registry.npm" + "js.org/left-pad", 1},
		{"GOPROXY=proxy.golang" + ".org", 1},
		{"-----BEGIN RSA PRIVATE KEY-----", 1},
		{"a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> x\n", 3},
	} {
		if got := faults("f", []byte(tt.text)); len(got) != tt.n {
			t.Errorf("%q: got %q, want %d", tt.text, got, tt.n)
		}
	}
}

// subject is "dir: verb object".
var subject = regexp.MustCompile(`^[\w./, *-]+: \S.{0,90}[^.\s]$`)

func TestCommitSubjects(t *testing.T) {
	for _, s := range strings.Split(strings.TrimSpace(git(t, "log", "--no-merges", "-20", "--format=%s")), "\n") {
		if !subject.MatchString(s) {
			t.Errorf("commit subject %q: want \"dir: verb object\", without a full stop", s)
		}
	}
}

func TestChangelog(t *testing.T) {
	for _, f := range files(t, "CHANGELOG.md") {
		if f.name == "CHANGELOG.md" && bytes.Contains(f.text, []byte("\n- ")) {
			return
		}
	}
	t.Error("CHANGELOG.md: no line of what users get")
}
