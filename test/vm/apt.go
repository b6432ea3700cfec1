// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// apt is a private apt: its own sources, lists and cache in dir. It downloads and never installs.
type apt struct{ dir string }

// downloadDebs fetches the newest match of each glob from suite into dir and returns the paths of the files.
// It tries the mirrors in order.
func downloadDebs(ctx context.Context, dir, suite string, globs []string, mirrors []mirror) ([]string, error) {
	var failures []string
	for _, m := range mirrors {
		debs, err := apt{dir}.download(ctx, m, suite, globs)
		if err == nil {
			return debs, nil
		}
		failures = append(failures, fmt.Sprintf("%s: %v", redact(m.uri), err))
	}
	return nil, fmt.Errorf("download %s from suite %s: %s", strings.Join(globs, ", "), suite, strings.Join(failures, "; "))
}

func (a apt) download(ctx context.Context, m mirror, suite string, globs []string) ([]string, error) {
	for _, sub := range []string{"sources", "state/lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(a.dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	source := filepath.Join(a.dir, "sources", "debian.sources")
	if err := os.WriteFile(source, []byte(m.source(suite)), 0o600); err != nil {
		return nil, err
	}
	if _, err := a.run(ctx, "apt-get", "update", "--error-on=any"); err != nil {
		return nil, fmt.Errorf("update: the mirror does not carry suite %s (any more), or cannot be reached; "+
			"name one that does in SKEP_VM_MIRROR: %w", suite, err)
	}
	names, err := a.newest(ctx, suite, globs)
	if err != nil {
		return nil, err
	}
	if _, err := a.run(ctx, "apt-get", append([]string{"download"}, names...)...); err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(a.dir, "debs", "*.deb"))
}

// newest resolves each glob to one package name.
func (a apt) newest(ctx context.Context, suite string, globs []string) ([]string, error) {
	out, err := a.run(ctx, "apt-cache", "pkgnames", "linux-")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, glob := range globs {
		match := slices.DeleteFunc(strings.Fields(out), func(name string) bool {
			ok, err := path.Match(glob, name)
			return err != nil || !ok
		})
		if len(match) == 0 {
			return nil, fmt.Errorf("find package %s: suite %s has none", glob, suite)
		}
		names = append(names, slices.MaxFunc(match, compareVersions))
	}
	return names, nil
}

// run calls one of apt's programs with the private configuration and returns its standard output.
func (a apt) run(ctx context.Context, program string, args ...string) (string, error) {
	options := []string{
		"-q",
		"-o", "Dir::Etc::sourcelist=/dev/null",
		"-o", "Dir::Etc::sourceparts=" + filepath.Join(a.dir, "sources"),
		"-o", "Dir::State=" + filepath.Join(a.dir, "state"),
		"-o", "Dir::State::status=/dev/null",
		"-o", "Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"-o", "APT::Architecture=amd64",
		"-o", "APT::Architectures=amd64",
		// The sandbox user cannot write to a directory of ours, and apt would only warn and go on as root.
		"-o", "APT::Sandbox::User=root",
	}
	cmd := exec.CommandContext(ctx, program, append(options, args...)...)
	cmd.Dir = filepath.Join(a.dir, "debs")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, args[0], err, tail(stderr.String(), 5))
	}
	return stdout.String(), nil
}

// compareVersions orders names whose parts differ in numbers: 6.12.94 before 6.12.107.
func compareVersions(a, b string) int {
	for a != "" && b != "" {
		na, ra := cutNumber(a)
		nb, rb := cutNumber(b)
		if na != "" && nb != "" {
			na, nb = strings.TrimLeft(na, "0"), strings.TrimLeft(nb, "0")
			if len(na) != len(nb) {
				return len(na) - len(nb)
			}
			if c := strings.Compare(na, nb); c != 0 {
				return c
			}
			a, b = ra, rb
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func cutNumber(s string) (number, rest string) {
	rest = strings.TrimLeft(s, "0123456789")
	return s[:len(s)-len(rest)], rest
}

// redact hides the password that a private mirror's address may hold.
func redact(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return "mirror with an unreadable address"
	}
	return u.Redacted()
}

// tail returns the last n lines of s.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
