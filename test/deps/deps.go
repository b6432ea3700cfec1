// SPDX-License-Identifier: Apache-2.0

// Package deps holds the rules of who may import whom, each with its reason, and
// the test that enforces them:
//
//	cmd -> server, cli -> capabilities -> event, identity -> kern -> abi
//
// Capabilities never import each other; they meet in event and identity and are
// wired in internal/agent, which only cmd/skepd links.
package deps

import (
	"fmt"
	"slices"
	"strings"
)

const module = "github.com/skep-io/skep/"

// pkg is what the rules look at, as "go list -json" prints it.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// rule binds packages. A pattern is a path, within the module or outside it, and
// with "/..." also what is below; "..." is everything.
type rule struct {
	// who is bound, and who of these is not.
	who, butNot []string
	// mayNot be imported, unless it is among what may.
	mayNot, may []string
	// linked forbids what is imported at any remove, not only directly.
	linked bool
	// testsToo binds test files as well; testsButNot are packages whose tests may.
	testsToo    bool
	testsButNot []string
	why         string
	// example is an import that the rule must refuse: "importer -> imported".
	example string
}

// violations of all rules, one line each.
func violations(packages []pkg, rules []rule) []string {
	var found []string
	for _, r := range rules {
		for _, p := range packages {
			found = append(found, r.violations(p)...)
		}
	}
	return found
}

func (r rule) violations(p pkg) []string {
	name := strings.TrimPrefix(p.ImportPath, module)
	if !matches(r.who, name) || matches(r.butNot, name) {
		return nil
	}
	var found []string
	if r.linked {
		found = r.among(name, "links", p.Deps)
	} else {
		found = r.among(name, "imports", p.Imports)
	}
	if r.testsToo && !matches(r.testsButNot, name) {
		found = append(found, r.among(name, "imports for its tests", slices.Concat(p.TestImports, p.XTestImports))...)
	}
	return found
}

// among leaves a package and its own subpackages to themselves.
func (r rule) among(name, verb string, imports []string) []string {
	var found []string
	for _, i := range imports {
		i = strings.TrimPrefix(i, module)
		own := matches([]string{name + "/..."}, i) || matches([]string{i + "/..."}, name)
		if matches(r.mayNot, i) && !matches(r.may, i) && !own {
			found = append(found, fmt.Sprintf("%s %s %s: %s", name, verb, i, r.why))
		}
	}
	return found
}

func matches(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		root, deep := strings.CutSuffix(pattern, "...")
		if !deep {
			return path == pattern
		}
		return root == "" || path+"/" == root || strings.HasPrefix(path, root)
	})
}
