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
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const root = "../.."

// TestMatrix runs the suites on every kernel; each test of a guest becomes a subtest here, with its outcome. -run chooses
// among them by their names: only the guests are booted that have one. SKEP_VM_PARALLEL says how many guests run at once
// (default: one for each CPU).
func TestMatrix(t *testing.T) {
	if os.Getenv("SKEP_VM") != "1" {
		t.Skip("takes minutes and downloads kernels: set SKEP_VM=1 to run the kernel matrix")
	}
	noteSources(t)
	run := chosen()
	boots := plan(build(t, run.choose(t, append(foreignSuites(t), suites()...))), run)
	start(t, boots, parallel(t))
	for _, k := range Kernels() {
		own := slices.DeleteFunc(slices.Clone(boots), func(b *boot) bool { return b.kernel.Name != k.Name })
		if len(own) == 0 {
			continue
		}
		t.Run(k.Name, func(t *testing.T) {
			for _, b := range own {
				b.report(t)
			}
		})
	}
}

// boot is one guest and the suites that it runs.
type boot struct {
	kernel Kernel
	system system
	suites []builtSuite
	done   chan struct{} // closed once there is a result
	result Result
	err    error
}

// mostSuites is how many suites a guest runs at most: one with all of the newest kernel's would
// go on when the other CPU has nothing to do any more.
const mostSuites = 7

// plan makes boots for each kernel and each kind of system that a suite wants, for the tests that are chosen.
func plan(all []builtSuite, run pattern) []*boot {
	var boots []*boot
	for _, k := range Kernels() {
		for _, kind := range []system{{}, {cgroupV1: true}, {systemd: true}} {
			var suites []builtSuite
			for _, s := range all {
				tests, ok := run.run(k, s.suite)
				if !ok || s.system != kind || !s.wants(k) {
					continue
				}
				if tests != "" {
					s.args = append(slices.Clone(s.args), "-test.run="+tests)
				}
				suites = append(suites, s)
			}
			guests := (len(suites) + mostSuites - 1) / mostSuites
			for i := range guests {
				some := suites[i*len(suites)/guests : (i+1)*len(suites)/guests]
				boots = append(boots, &boot{kernel: k, system: kind, suites: some, done: make(chan struct{})})
			}
		}
	}
	return boots
}

// start runs so many guests at once. The last ones are short, so that all CPUs have something to do until the end:
// first comes what boots systemd, which takes minutes for its one suite, then those with the most suites.
func start(t *testing.T, boots []*boot, atOnce int) {
	queue := make(chan *boot, len(boots))
	for _, b := range slices.SortedStableFunc(slices.Values(boots), longestFirst) {
		queue <- b
	}
	close(queue)
	for range atOnce {
		go func() {
			for b := range queue {
				b.run(t)
			}
		}()
	}
}

func longestFirst(a, b *boot) int {
	if a.system.systemd != b.system.systemd {
		return map[bool]int{true: -1, false: 1}[a.system.systemd]
	}
	return len(b.suites) - len(a.suites)
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

func parallel(t *testing.T) int {
	value := os.Getenv("SKEP_VM_PARALLEL")
	if value == "" {
		return runtime.NumCPU() // a guest takes one
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
			if !filepath.IsAbs(file) {
				file = filepath.Join(root, file)
			}
			b.host[guest] = file
		}
		if s.systemd {
			if err := AddSystemd(b.host); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range s.hostPrograms {
			if err := AddProgram(b.host, name); err != nil {
				t.Fatalf("put %s into the guests: %v", name, err)
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

// progress is shown at once by test/run, which keeps what else a test logs for when it fails.
func progress(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Logf("progress: "+format, args...)
}

func (b *boot) run(t *testing.T) {
	defer close(b.done)
	image, err := Fetch(t.Context(), b.kernel)
	if err != nil {
		b.err = err
		return
	}
	g := Guest{
		Files:    map[string]string{},
		Env:      []string{"SKEP_KERNEL=" + b.kernel.Name, "SKEP_KERNEL_RELEASE=" + image.Release},
		Timeout:  60 * time.Minute,
		CgroupV1: b.system.cgroupV1,
		Systemd:  b.system.systemd,
		MemMiB:   2048, // a guest's files are in its memory, and some tests fill a cgroup
	}
	for _, s := range b.suites {
		maps.Copy(g.Files, s.host)
		g.Setup = append(g.Setup, s.setup...)
		g.Commands = append(g.Commands, command(s))
	}
	if os.Getenv("SKEP_VM_LIVE") == "1" {
		g.Output = os.Stderr
	}
	g.Ended = func(command int, took time.Duration) {
		progress(t, "%s: %s took %.1fs", b.kernel.Name, b.suites[command].name(), took.Seconds())
	}
	b.result, b.err = Run(t.Context(), b.kernel, g)
	progress(t, "%s: guest of %d suites took %.1fs, %.1fs of them to boot", b.kernel.Name, len(b.suites), b.result.Total.Seconds(), b.result.Boot.Seconds())
}

// report waits for the guest and reports each of its suites.
func (b *boot) report(t *testing.T) {
	<-b.done
	if b.err != nil {
		fault(t, b.err) // and go on: what ran before the guest failed is worth reporting
	}
	t.Logf("%s (%+v): first command after %v, all after %v",
		b.result.Release, b.system, b.result.Boot.Round(time.Millisecond), b.result.Total.Round(time.Millisecond))
	for i, c := range b.result.Commands {
		t.Run(b.suites[i].name(), func(t *testing.T) { report(t, c) })
	}
}

// fault reports what is no single test's failure as a test of its own, which can not be run again: a guest that died or
// a suite that ended early has not run all its tests, and may not pass because one that failed passes when it is
// repeated (test/run).
func fault(t *testing.T, err error) {
	t.Run("fault", func(t *testing.T) { t.Error(err) })
}

// command runs a suite's binary with its own environment, in a directory of its own.
func command(b builtSuite) []string {
	env := append([]string{"env"}, b.env...)
	run := append([]string{b.binary(), "-test.v=test2json", "-test.timeout=20m"}, b.args...)
	return slices.Concat([]string{"sh", "-c", `cd "$0" && exec "$@"`, b.guestDir}, env, run)
}

// report makes a subtest of each test that the guest started.
func report(t *testing.T, c CommandResult) {
	results := ParseTests(c.Output)
	if err := CheckTests(c, results); err != nil {
		fault(t, err)
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
