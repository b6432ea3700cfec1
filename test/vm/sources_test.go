// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFindMirrors(t *testing.T) {
	t.Setenv("SKEP_VM_MIRROR", "")
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"deb822", map[string]string{"sources.list.d/debian.sources": `# comment
Types: deb deb-src
# http://old.example/debian
URIs: http://one.example/debian
 http://two.example/debian
Suites: bookworm bookworm-updates
Components: main contrib

Types: deb
URIs: http://sec.example/debian-security
Suites: bookworm-security
Components: main
`}, []string{"http://one.example/debian", "http://two.example/debian"}},
		{"one line", map[string]string{"sources.list": `
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://one.example/debian bookworm main non-free # why
deb-src http://src.example/debian bookworm main
deb http://contrib.example/debian bookworm contrib
`, "sources.list.d/other.list": "deb http://other.example/apt stable-x main\ndeb http://one.example/debian trixie main\n"},
			[]string{"http://one.example/debian"}},
		{"disabled", map[string]string{"sources.list.d/x.sources": "Enabled: no\nTypes: deb\nURIs: http://a.example\nSuites: sid\nComponents: main\n"}, nil},
		{"not Debian", map[string]string{"sources.list": "deb http://a.example/ubuntu noble main\n"}, nil},
		{"none", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, tt.files)
			mirrors, err := findMirrors(dir)
			if (err != nil) != (tt.want == nil) {
				t.Fatalf("got error %v", err)
			}
			var got []string
			for _, m := range mirrors {
				got = append(got, m.uri)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, "sources.list.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSourceKeepsKey: an armoured key spans lines, and must reach the private sources file as it was.
func TestSourceKeepsKey(t *testing.T) {
	key := "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abcd\n -----END PGP PUBLIC KEY BLOCK-----\n"
	mirrors := parseDeb822("Types: deb\nURIs: http://a.example\nSuites: sid\nComponents: main\n" + key)
	if len(mirrors) != 1 {
		t.Fatalf("got %v", mirrors)
	}
	source := mirrors[0].source("trixie")
	if !strings.Contains(strings.ReplaceAll(source, "Signed-By: \n", "Signed-By:\n"), key) {
		t.Errorf("the key is not in:\n%s", source)
	}
	if !strings.Contains(source, "Suites: trixie\n") {
		t.Errorf("the suite is not in:\n%s", source)
	}
}
