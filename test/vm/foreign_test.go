// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// foreignSuites are about a checkout of bpftrace, which SKEP_BPFTRACE_CHECKOUT names.
func foreignSuites(t *testing.T) []suite {
	checkout := os.Getenv("SKEP_BPFTRACE_CHECKOUT")
	if checkout == "" {
		return nil
	}
	return append(foreignTools(checkout), foreignTests(t, checkout)...)
}

// foreignTools loads the tools of the checkout, as internal/trace says.
// They need modules that no other suite does: SKEP_VM_MODULES="xfs md_mod".
func foreignTools(checkout string) []suite {
	tools, _ := filepath.Glob(filepath.Join(checkout, "tools", "*.bt"))
	if len(tools) == 0 {
		return nil
	}
	files := map[string]string{}
	for _, tool := range tools {
		files["/bpftrace/tools/"+filepath.Base(tool)] = tool
	}
	return []suite{{pkg: "./internal/trace", args: []string{"-test.run=TestForeignTools"}, files: files, hostPrograms: []string{"bash", "openssl"},
		env: []string{"SKEP_BPFTRACE_CHECKOUT=/bpftrace"}, kernels: []string{"6.12"}}}
}

// foreignTests runs the checkout's own tests of kprobes and fentry with skep, and with the bpftrace that SKEP_BPFTRACE
// names, as test/bt says. SKEP_BT_ONLY chooses among them by a regular expression for FILE.NAME.
// They need modules that no other suite does: SKEP_VM_MODULES="kvm nf_tables".
func foreignTests(t *testing.T, checkout string) []suite {
	reference := os.Getenv("SKEP_BPFTRACE")
	if reference == "" {
		return nil
	}
	files := map[string]string{"/bin/bash": "/bin/bash"} // which the cases call by this path
	addTree(t, files, filepath.Join(checkout, "tests", "runtime"), "/bpftrace/tests/runtime")
	addForeignPrograms(t, files, checkout, "/bpftrace/programs")
	// Some cases look for a process called bpftrace; what skep runs in its agent finds that.
	const agent = "mkdir -p /run/bt && ln -sf /bin/skepd /run/bt/bpftrace && " +
		"exec /run/bt/bpftrace run --private --no-ship --socket /run/bt/sock --data-dir /run/bt/data"
	return []suite{{
		pkg: "./test/bt", args: []string{"-test.run=TestScore", "-test.timeout=0"},
		programs: agentPrograms, files: files, hostPrograms: []string{reference, "bash", "bpftool", "nft"},
		env: []string{
			"SKEP_BPFTRACE_CHECKOUT=/bpftrace", "SKEP_BT_PROGRAMS=/bpftrace/programs", "SKEP_BPFTRACE=" + reference,
			"SKEP_BT_ONLY=" + os.Getenv("SKEP_BT_ONLY"), "SKEP_SOCKET=/run/bt/sock", "SKEP_BT_AGENT=" + agent,
		},
		kernels: []string{"6.12"},
	}}
}

// addForeignPrograms builds the checkout's test programs, for which a guest has no compilers, and puts them below a
// folder of the guest, with the libraries that they link to.
func addForeignPrograms(t *testing.T, files map[string]string, checkout, guest string) {
	dir := t.TempDir()
	cmd := exec.Command("go", "run", "./test/bt", "-suite", checkout, "-build", dir)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("build bpftrace's test programs: %v: %s", err, out)
	}
	t.Logf("bpftrace's test programs: %s", out)
	addTree(t, files, dir, guest)
	built, err := filepath.Glob(filepath.Join(dir, "testprogs", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range built {
		linked := map[string]string{}
		if err := AddProgram(linked, program); err != nil {
			t.Fatal(err)
		}
		delete(linked, program)
		maps.Copy(files, linked)
	}
}

// addTree puts all files below a folder of the host below one of the guest.
func addTree(t *testing.T, files map[string]string, host, guest string) {
	err := filepath.WalkDir(host, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files[guest+strings.TrimPrefix(path, host)] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
