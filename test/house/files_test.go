// SPDX-License-Identifier: Apache-2.0

package house

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// file is one of the repository: tracked, or new and not ignored.
type file struct {
	name string
	text []byte
}

func git(t *testing.T, args ...string) string {
	t.Helper()
	c := exec.Command("git", append([]string{"-c", "safe.directory=*", "-C", root}, args...)...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// files is every regular file whose name ends so; all of them without an end.
func files(t *testing.T, ends ...string) []file {
	t.Helper()
	var found []file
	for _, name := range strings.Split(git(t, "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00") {
		if name == "" || len(ends) > 0 && !slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(name, end) }) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and git has not been told yet
		}
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, file{name, text})
	}
	if len(found) == 0 {
		t.Fatalf("no files %v: is this a git checkout?", ends)
	}
	return found
}

var generatedMark = regexp.MustCompile(`(?m)^(// Code generated .* DO NOT EDIT\.|// @generated )`)

// generated files are not written by hand, so their size and comments are not ours.
func (f file) generated() bool {
	return strings.HasPrefix(f.name, "web/dist/") || path.Base(f.name) == "package-lock.json" || generatedMark.Match(f.text)
}
