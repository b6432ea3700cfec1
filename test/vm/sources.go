// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mirror is a place that carries Debian's main archive, as the machine's own apt configuration names it.
type mirror struct {
	uri string
	// signedBy is a keyring's path or an armoured key over several lines, as apt wrote it; empty: apt's trusted keys.
	signedBy string
	trusted  string
}

// debianKeyring holds the keys of all suites, also where the system's entry trusts only those of its own suite.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// findMirrors returns the Debian mirrors of the apt configuration in dir, normally /etc/apt.
// SKEP_VM_MIRROR replaces them: for a host that is not Debian, or a suite that moved to an archive.
func findMirrors(dir string) ([]mirror, error) {
	if uri := os.Getenv("SKEP_VM_MIRROR"); uri != "" {
		return []mirror{{uri: uri, signedBy: keyringIfPresent()}}, nil
	}
	paths := []string{filepath.Join(dir, "sources.list")}
	for _, glob := range []string{"*.list", "*.sources"} {
		more, err := filepath.Glob(filepath.Join(dir, "sources.list.d", glob))
		if err != nil {
			return nil, err
		}
		paths = append(paths, more...)
	}
	var found []mirror
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read apt sources: %w", err)
		}
		if strings.HasSuffix(path, ".sources") {
			found = append(found, parseDeb822(string(text))...)
		} else {
			found = append(found, parseOneLine(string(text))...)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("find a Debian mirror: no enabled entry under %s has a Debian suite and component main; "+
			"name a mirror in SKEP_VM_MIRROR", dir)
	}
	return dedupe(found), nil
}

// parseDeb822 reads the *.sources format of sources.list(5).
func parseDeb822(text string) []mirror {
	var found []mirror
	for _, stanza := range splitStanzas(text) {
		if strings.EqualFold(stanza["enabled"], "no") || !slices.Contains(strings.Fields(stanza["types"]), "deb") {
			continue
		}
		if !hasDebianMain(strings.Fields(stanza["suites"]), strings.Fields(stanza["components"])) {
			continue
		}
		for _, uri := range strings.Fields(stanza["uris"]) {
			found = append(found, mirror{uri, orKeyring(stanza["signed-by"]), stanza["trusted"]})
		}
	}
	return found
}

// splitStanzas returns the fields of each stanza with lower-case names; a folded value keeps its line breaks.
func splitStanzas(text string) []map[string]string {
	var stanzas []map[string]string
	var current map[string]string
	var last string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			current = nil
		case line[0] == ' ' || line[0] == '\t':
			if current != nil {
				current[last] += "\n" + line
			}
		default:
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				continue
			}
			if current == nil {
				current = map[string]string{}
				stanzas = append(stanzas, current)
			}
			last = strings.ToLower(strings.TrimSpace(name))
			current[last] = strings.TrimSpace(value)
		}
	}
	return stanzas
}

// parseOneLine reads the sources.list format: deb [options] uri suite component...
func parseOneLine(text string) []mirror {
	var found []mirror
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		options, rest := cutOptions(strings.TrimSpace(rest))
		fields := strings.Fields(rest)
		if len(fields) < 3 || !hasDebianMain(fields[1:2], fields[2:]) {
			continue
		}
		found = append(found, mirror{fields[0], orKeyring(options["signed-by"]), options["trusted"]})
	}
	return found
}

func cutOptions(s string) (map[string]string, string) {
	options := map[string]string{}
	inner, ok := strings.CutPrefix(s, "[")
	if !ok {
		return options, s
	}
	inner, rest, _ := strings.Cut(inner, "]")
	for _, option := range strings.Fields(inner) {
		name, value, _ := strings.Cut(option, "=")
		options[strings.ToLower(name)] = value
	}
	return options, rest
}

// hasDebianMain tells Debian's main archive from its security archive (whose suites have a suffix), from other
// distributions (whose suites have other names) and from third-party repositories.
func hasDebianMain(suites, components []string) bool {
	debian := []string{
		"buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid",
		"oldoldstable", "oldstable", "stable", "testing", "unstable",
	}
	known := slices.ContainsFunc(suites, func(s string) bool { return slices.Contains(debian, s) })
	return known && slices.Contains(components, "main")
}

// orKeyring adds Debian's whole keyring to one that may hold the keys of the system's own suite only.
func orKeyring(signedBy string) string {
	all := keyringIfPresent()
	if signedBy == "" || all == "" || signedBy == all {
		return cmp.Or(signedBy, all)
	}
	if strings.HasPrefix(signedBy, "/") {
		return signedBy + "," + all
	}
	return signedBy // an armoured key, which does not mix with paths
}

func keyringIfPresent() string {
	if _, err := os.Stat(debianKeyring); err != nil {
		return ""
	}
	return debianKeyring
}

func dedupe(mirrors []mirror) []mirror {
	seen := map[string]bool{}
	return slices.DeleteFunc(mirrors, func(m mirror) bool {
		was := seen[m.uri]
		seen[m.uri] = true
		return was
	})
}

// source is the deb822 entry for one suite. Only package lists are fetched: translations and icons are megabytes.
func (m mirror) source(suite string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nArchitectures: amd64\nTargets: Packages\n", m.uri, suite)
	if m.signedBy != "" {
		fmt.Fprintf(&b, "Signed-By: %s\n", m.signedBy)
	}
	if m.trusted != "" {
		fmt.Fprintf(&b, "Trusted: %s\n", m.trusted)
	}
	return b.String()
}
