// SPDX-License-Identifier: Apache-2.0

package deps

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

func list(t *testing.T) []pkg {
	t.Helper()
	c := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "./...")
	c.Dir = "../.."
	out, err := c.Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	var packages []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("list packages: %v", err)
		}
		packages = append(packages, p)
	}
}

func TestRules(t *testing.T) {
	packages := list(t)
	if len(packages) < 20 {
		t.Fatalf("only %d packages listed", len(packages))
	}
	for _, v := range violations(packages, rules()) {
		t.Error(v)
	}
}

// TestRulesBite makes each rule's forbidden import and wants that rule to name it.
func TestRulesBite(t *testing.T) {
	for _, r := range rules() {
		t.Run(r.example, func(t *testing.T) {
			who, what, ok := strings.Cut(r.example, " -> ")
			if !ok {
				t.Fatalf("no example %q", r.example)
			}
			full := what
			if first, _, _ := strings.Cut(what, "/"); first == "internal" || first == "test" || first == "bpf" {
				full = module + what
			}
			bad := pkg{ImportPath: module + who, Imports: []string{"fmt", full}, Deps: []string{"fmt", full}}
			if r.linked {
				bad.Imports = nil // only at a remove
			}
			got := violations([]pkg{bad}, []rule{r})
			if len(got) != 1 || !strings.Contains(got[0], who) || !strings.Contains(got[0], what) || !strings.HasSuffix(got[0], r.why) || r.why == "" {
				t.Errorf("got %q", got)
			}
			tests := pkg{ImportPath: module + who, XTestImports: []string{full}}
			if got := violations([]pkg{tests}, []rule{r}); (len(got) == 1) != r.testsToo {
				t.Errorf("in a test: got %q, testsToo is %v", got, r.testsToo)
			}
		})
	}
}

// TestRulesAllow has imports that are right.
func TestRulesAllow(t *testing.T) {
	for _, tt := range []struct{ who, what string }{
		{"internal/kern", "github.com/cilium/ebpf/link"},
		{"internal/kern", "unsafe"},
		{"internal/kernel", "internal/abi"},
		{"internal/sensor/tcp", "internal/kern"},
		{"internal/sensor/tcp/wire", "internal/sensor/tcp"},
		{"internal/sensor/tcp", "internal/sensor/tcp/wire"},
		{"internal/identity/container", "internal/identity/cgroup"},
		{"internal/flow", "internal/abi"},
		{"internal/flow", "internal/identity"},
		{"cmd/skepd", "internal/agent"},
		{"cmd/skep", "internal/cli"},
		{"internal/kube", "k8s.io/client-go/rest"},
	} {
		full := tt.what
		if strings.HasPrefix(full, "internal/") {
			full = module + full
		}
		good := pkg{ImportPath: module + tt.who, Imports: []string{full}, Deps: []string{full}}
		for _, v := range violations([]pkg{good}, rules()) {
			t.Error(v)
		}
	}
}

// TestCapabilitiesListed finds a sensor that no rule knows.
func TestCapabilitiesListed(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(name, "internal/sensor/") && !matches(deep(capabilities), name) {
			t.Errorf("%s: not among the capabilities in rules.go", name)
		}
	}
}
