// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// suite is one package whose tests run in the matrix. Add an entry to run more; see README.md.
type suite struct {
	// pkg is the package's path from the repository's root.
	pkg string
	// args are further arguments of the test binary, such as -test.run=TestX.
	args []string
	// programs are built from main packages and put at these guest paths.
	programs map[string]string
	// files are copied from host paths (from the repository's root) to guest paths.
	files map[string]string
	// hostPrograms are found in the host's PATH and copied with their libraries.
	hostPrograms []string
	env          []string
	// kernels names those it runs on; empty: all.
	kernels []string
	// cgroupV1 boots the hybrid cgroup layout for it.
	cgroupV1 bool
}

func suites() []suite {
	return []suite{
		{pkg: "./test/vm/smoke"},
		{pkg: "./test/vm/smoke", args: []string{"-test.run=TestMounts|TestCgroupV1|TestPrograms/cgroup"},
			env: []string{"SKEP_CGROUP_V1=1"}, kernels: []string{"5.10", "6.1", "6.12"}, cgroupV1: true},
		{pkg: "./test/e2e/ladder", programs: agentPrograms, env: agentEnv},
		{pkg: "./test/e2e/process", programs: containerPrograms, hostPrograms: runtimes, env: containerEnv,
			kernels: []string{"5.10", "6.1", "6.12", "7.2"}},
		{pkg: "./test/e2e/process", args: []string{"-test.run=TestRunc"}, programs: containerPrograms, hostPrograms: runtimes,
			env: containerEnv, kernels: []string{"5.10", "6.12"}, cgroupV1: true},
		{pkg: "./test/e2e/containers", args: []string{"-test.run=TestRunc"}, programs: containerPrograms, hostPrograms: runtimes,
			env: containerEnv, kernels: []string{"6.1"}},
		{pkg: "./internal/sensor/tcp", kernels: []string{"5.10", "6.1", "6.12", "7.2"}},
		{pkg: "./internal/sensor/process", kernels: []string{"5.10", "6.1", "6.12", "7.2"}},
		// Neither sensor uses LSM: a few tests show that nothing else differs either.
		{pkg: "./test/e2e/process", args: []string{"-test.run=TestVictimRung|TestRungs/best/(argv|image|lineage|terminal)$"},
			programs: agentPrograms, env: agentEnv, kernels: []string{"6.12-nobpf"}},
		{pkg: "./internal/sensor/tcp", args: []string{"-test.run=TestRungOfThisKernel|TestOwners"},
			kernels: []string{"6.12-nobpf", "6.12-lockdown"}},
		{pkg: "./test/e2e/process", args: []string{"-test.run=TestConfidentiality"}, programs: agentPrograms, env: agentEnv,
			kernels: []string{"6.12-lockdown"}},
		{pkg: "./internal/kern", kernels: []string{"6.1", "7.2"}},
		// What depends on the kernel: pins and what becomes of them, rings, links, and not what config or files decide.
		{pkg: "./test/e2e/agent", args: []string{"-test.run=TestForeignUntouched|TestNobody|TestLosses|TestSecond|TestKilledUnder|" +
			"TestOther|TestEphemeral|TestRefusals/no_BPF|TestDamagedPins/(none|a_link_is)"},
			programs: agentPrograms, env: agentEnv, kernels: []string{"5.10", "6.1", "6.12"}},
		{pkg: "./test/e2e/agent", args: []string{"-test.run=TestForeign|TestNobody|TestLosses|TestTable|TestConnectionsHeal|TestPrivate|TestEphemeral|" +
			"TestRemove|TestSecond|TestKilled|TestOther|TestRefusals/no_|TestDamagedPins/(none|a_link_is|a_map_is)"},
			programs: agentPrograms, env: agentEnv, kernels: []string{"7.2"}},
	}
}

// What a suite needs that starts the real agent.
var (
	agentPrograms = map[string]string{"/bin/skepd": "./cmd/skepd", "/bin/skep": "./cmd/skep"}
	agentEnv      = []string{"SKEP_BIN_DIR=/bin"}

	containerPrograms = map[string]string{"/bin/skepd": "./cmd/skepd", "/bin/skep": "./cmd/skep", "/skep/probe": "./test/e2e/containers/probe"}
	runtimes          = []string{"runc"}
	containerEnv      = []string{"SKEP_BIN_DIR=/bin", "SKEP_PROBE=/skep/probe"}
)

const root = "../.."

// TestMatrix runs the suites on every kernel; each test of a guest becomes a subtest here, with its outcome.
// SKEP_VM_KERNELS names kernels to run on, SKEP_VM_SUITES is a regular expression for the suites' names, SKEP_VM_PARALLEL
// says how many guests run at once (default 1).
func TestMatrix(t *testing.T) {
	if os.Getenv("SKEP_VM") != "1" {
		t.Skip("takes minutes and downloads kernels: set SKEP_VM=1 to run the kernel matrix")
	}
	noteSources(t)
	kernels := chosenKernels(t)
	built := build(t, chosenSuites(t))
	slots := make(chan struct{}, parallel(t))
	for _, k := range kernels {
		t.Run(k.Name, func(t *testing.T) {
			if cap(slots) > 1 {
				t.Parallel()
			}
			slots <- struct{}{}
			defer func() { <-slots }()
			for _, layout := range []bool{false, true} {
				runGuest(t, k, layout, built)
			}
		})
	}
}

// noteSources looks at everything the suites are built from, so that a result that go test has cached is not reused
// after a change there: go test sees what this process looks at, not what the compiler reads.
func noteSources(t *testing.T) {
	for _, dir := range []string{"api", "bpf", "cmd", "internal", "test", "go.mod", "go.sum"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(name string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			_, err = os.Stat(name)
			return err
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func chosenKernels(t *testing.T) []Kernel {
	names := strings.Fields(strings.ReplaceAll(os.Getenv("SKEP_VM_KERNELS"), ",", " "))
	if len(names) == 0 {
		return Kernels()
	}
	var chosen []Kernel
	for _, name := range names {
		k, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		chosen = append(chosen, k)
	}
	return chosen
}

func chosenSuites(t *testing.T) []suite {
	wanted, err := regexp.Compile(os.Getenv("SKEP_VM_SUITES"))
	if err != nil {
		t.Fatalf("SKEP_VM_SUITES: %v", err)
	}
	chosen := slices.DeleteFunc(suites(), func(s suite) bool { return !wanted.MatchString(s.name()) })
	if len(chosen) == 0 {
		t.Fatalf("SKEP_VM_SUITES %q matches no suite", wanted)
	}
	return chosen
}

func parallel(t *testing.T) int {
	value := os.Getenv("SKEP_VM_PARALLEL")
	if value == "" {
		return 1
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		t.Fatalf("SKEP_VM_PARALLEL is %q: want a number of guests, 1 or more", value)
	}
	return n
}

// builtSuite is a suite with everything it needs on the host.
type builtSuite struct {
	suite
	guestDir string
	// host maps guest paths to host files: the test binary, programs and files.
	host map[string]string
}

func (b builtSuite) binary() string { return path.Join(b.guestDir, "test") }

// build compiles each test binary and program once, for all kernels.
func build(t *testing.T, suites []suite) []builtSuite {
	dir := t.TempDir()
	done := map[string]string{}
	compile := func(pkg string, command ...string) string {
		key := pkg + " " + command[0]
		if done[key] == "" {
			done[key] = filepath.Join(dir, strconv.Itoa(len(done)))
			goTool(t, append(command, "-o", done[key], pkg)...)
		}
		return done[key]
	}
	var built []builtSuite
	for i, s := range suites {
		b := builtSuite{suite: s, guestDir: fmt.Sprintf("/skep/suite%d", i), host: map[string]string{}}
		b.host[b.binary()] = compile(s.pkg, "test", "-c")
		for guest, pkg := range s.programs {
			b.host[guest] = compile(pkg, "build")
		}
		for guest, file := range s.files {
			b.host[guest] = filepath.Join(root, file)
		}
		for _, name := range s.hostPrograms {
			if err := AddProgram(b.host, name); errors.Is(err, exec.ErrNotFound) {
				t.Logf("%v: the guest's tests that need it will be skipped", err)
			} else if err != nil {
				t.Fatal(err)
			}
		}
		built = append(built, b)
	}
	return built
}

func goTool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v: %s", args, err, out)
	}
}

// runGuest boots k once for all suites that want this cgroup layout, and reports each suite.
func runGuest(t *testing.T, k Kernel, cgroupV1 bool, all []builtSuite) {
	image, err := Fetch(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	g := Guest{
		Files:    map[string]string{},
		Env:      []string{"SKEP_KERNEL=" + k.Name, "SKEP_KERNEL_RELEASE=" + image.Release},
		Timeout:  15 * time.Minute,
		CgroupV1: cgroupV1,
		MemMiB:   2048, // a guest's files are in its memory, and some tests fill a cgroup
	}
	var mine []builtSuite
	for _, b := range all {
		if b.cgroupV1 != cgroupV1 || len(b.kernels) > 0 && !slices.Contains(b.kernels, k.Name) {
			continue
		}
		mine = append(mine, b)
		maps.Copy(g.Files, b.host)
		g.Commands = append(g.Commands, command(b))
	}
	if len(mine) == 0 {
		return
	}
	result, err := Run(t.Context(), k, g)
	if k.CX16 && err != nil && strings.Contains(err.Error(), "Kernel panic") {
		// QEMU's emulation of cmpxchg16b makes kernels panic now and then (README.md); such a
		// guest gets one more try, and its console goes into the log.
		t.Logf("the guest of %s panicked and is booted once more:\n%v", k.Name, err)
		result, err = Run(t.Context(), k, g)
	}
	if err != nil {
		t.Error(err) // and go on: what ran before the guest failed is worth reporting
	}
	t.Logf("%s (cgroup v1: %t): first command after %v, all after %v",
		result.Release, cgroupV1, result.Boot.Round(time.Millisecond), result.Total.Round(time.Millisecond))
	for i, c := range result.Commands {
		t.Run(mine[i].name(), func(t *testing.T) { report(t, c) })
	}
}

func (s suite) name() string {
	name := strings.TrimPrefix(s.pkg, "./")
	if s.cgroupV1 {
		name += "-cgroup1"
	}
	return strings.ReplaceAll(name, "/", ".")
}

// command runs a suite's binary with its own environment, in a directory of its own.
func command(b builtSuite) []string {
	env := append([]string{"env"}, b.env...)
	run := append([]string{b.binary(), "-test.v=test2json", "-test.timeout=10m"}, b.args...)
	return slices.Concat([]string{"sh", "-c", `cd "$0" && exec "$@"`, b.guestDir}, env, run)
}

// report makes a subtest of each test that the guest started.
func report(t *testing.T, c CommandResult) {
	results := ParseTests(c.Output)
	if err := CheckTests(c, results); err != nil {
		t.Error(err)
	}
	for _, r := range results {
		if !strings.Contains(r.Name, "/") {
			reportTree(t, r, results)
		}
	}
	t.Log(durations(results))
}

// durations says what took how long by the guest's clock: to the host every test takes no time.
func durations(results []TestResult) string {
	var sum time.Duration
	slow := slices.DeleteFunc(slices.Clone(results), func(r TestResult) bool { return strings.Contains(r.Name, "/") })
	slices.SortStableFunc(slow, func(a, b TestResult) int { return cmp.Compare(b.Took, a.Took) })
	var text string
	for i, r := range slow {
		if sum += r.Took; i < 8 {
			text += fmt.Sprintf(", %s %v", r.Name, r.Took)
		}
	}
	return fmt.Sprintf("%v in the guest%s", sum, text)
}

// reportTree reports r and, below it, its subtests. A parent that only failed for a subtest's sake needs no message.
func reportTree(t *testing.T, r TestResult, all []TestResult) {
	t.Run(path.Base(r.Name), func(t *testing.T) {
		for _, sub := range all {
			if path.Dir(sub.Name) == r.Name {
				reportTree(t, sub, all)
			}
		}
		output := strings.TrimRight(r.Output, "\n")
		switch r.Outcome {
		case Pass:
			if output != "" {
				t.Log("\n" + output)
			}
		case Skip:
			t.Skip("\n" + output)
		case Fail:
			t.Errorf("failed in the guest:\n%s", output)
		default:
			t.Errorf("started in the guest, and no result came:\n%s", output)
		}
	})
}
