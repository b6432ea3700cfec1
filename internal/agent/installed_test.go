// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func sampleInstalled() *skepv1.InstalledTrace {
	return &skepv1.InstalledTrace{Uid: 7, Trace: &skepv1.TraceRequest{
		Mode: skepv1.TraceMode_TRACE_MODE_RUN, Script: "begin { printf(\"\\x1b\\n\"); }", Args: []string{"1", "two"}, Metrics: true,
	}}
}

// TestInstalledFiles: what was written is read, and nothing else is run.
func TestInstalledFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: changes owners")
	}
	dir := filepath.Join(t.TempDir(), "scripts")
	for _, name := range []string{"good", "cut", "changed", "open", "foreign", "renamed", "link", "empty"} {
		if err := writeInstalled(dir, name, sampleInstalled()); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string { return filepath.Join(dir, name+installedSuffix) }
	text, err := os.ReadFile(file("good"))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Truncate(file("cut"), int64(len(text)-10)),
		os.WriteFile(file("changed"), []byte(strings.Replace(string(text), "two", "owt", 1)), 0o600),
		os.Chmod(file("open"), 0o622),
		os.Chown(file("foreign"), 61000, 0),
		os.Rename(file("renamed"), file("other")),
		os.Remove(file("link")), os.Symlink("good"+installedSuffix, file("link")),
		os.Truncate(file("empty"), 0),
		os.WriteFile(filepath.Join(dir, "..script"), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	all, err := readInstalled(dir)
	if err != nil || len(all) != 8 {
		t.Fatalf("%d files, %v", len(all), err)
	}
	for name, f := range all {
		if (f.err == nil) != (name == "good") {
			t.Errorf("%s: %v", name, f.err)
		}
	}
	if got := all["good"].script; !proto.Equal(got.GetTrace(), sampleInstalled().GetTrace()) || got.GetUid() != 7 {
		t.Errorf("%v", got)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// FuzzInstalled: what is read is what was written under its sum, or an error.
func FuzzInstalled(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte(sumOf([]byte("{}")) + "\n{}"))
	f.Add([]byte(sumOf([]byte(`{"trace":{}}`)) + "\n" + `{"trace":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		script, err := parseInstalled(text)
		if (err == nil) != (script.GetTrace() != nil) {
			t.Errorf("%v, %v", script, err)
		}
	})
}
