// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/bt"
)

// number is what follows a text in the output.
func numberAfter(t *testing.T, out, prefix string) int {
	t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(prefix) + `(-?\d+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no %q in %q", prefix, out)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func command(t *testing.T, name string, args ...string) func() {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s: %v", name, err)
	}
	return func() {
		if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

func TestRawTracepoint(t *testing.T) {
	script := fmt.Sprintf(`rawtracepoint:sys_enter /pid == %d && args.id == 124/ { @ = count(); }`, os.Getpid())
	if got := run(t, script, getsids); got.text != "@: 37\n" {
		t.Errorf("got %s", got.text)
	}
}

// TestUserFunctions: a program in C calls a function of libc so often.
func TestUserFunctions(t *testing.T) {
	perl := waiting(t, "for (1..37) { $x = getppid(); }")
	got := run(t, `uprobe:libc:getppid /comm == "perl"/ { @e = count(); @f[func] = count(); } uretprobe:libc:getppid /comm == "perl"/ { @r[retval] = count(); }`+
		` uprobe:libc:getpp* /comm == "perl"/ { @w[probe] = count(); }`, perl)
	for _, want := range []string{"@e: 37\n", "@f[getppid]: 37\n", fmt.Sprintf("@r[%d]: 37\n", os.Getpid())} {
		if !strings.Contains(got.text, want) {
			t.Errorf("no %q in %s", want, got.text)
		}
	}
	if !regexp.MustCompile(`@w\[uprobe:/.*libc.*:getppid\]: 37\n`).MatchString(got.text) {
		t.Errorf("got %s", got.text)
	}
}

// TestUserAddress: a variable of a program is found wherever that is loaded.
func TestUserAddress(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("needs gcc: builds a program that has a variable")
	}
	source := filepath.Join(t.TempDir(), "variable.c")
	const text = "volatile int variable = 424242;\n__attribute__((noinline)) void probed(void) { variable++; }\nint main(void) { probed(); probed(); return 0; }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"-pie", "-no-pie"} {
		program := filepath.Join(t.TempDir(), "variable")
		if out, err := exec.Command(gcc, "-O1", "-fpie", flag, "-o", program, source).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got := run(t, fmt.Sprintf(`uprobe:%s:probed { @[*uaddr("variable")] = count(); }`, program), command(t, program))
		if want := "@[424242]: 1\n@[424243]: 1\n"; got.text != want {
			t.Errorf("%s: got %s", flag, got.text)
		}
	}
}

// TestManyPlaces: a program at every system call is there soon and gone soon; waiting for
// each of its perf events in turn takes twenty seconds.
func TestManyPlaces(t *testing.T) {
	s := start(t, fmt.Sprintf(`tracepoint:syscalls:sys_enter_* /pid == %d/ { @[probe] = count(); }`, os.Getpid()), bt.Options{})
	var ended time.Time
	got := follow(t, s, func() { getsids(); ended = time.Now() })
	if n := len(s.script.Probes[0].Targets); n < 200 || got.outputs[0].Count != uint64(n) {
		t.Errorf("attached to %d of %d", got.outputs[0].Count, n)
	}
	if !strings.Contains(got.text, "@[tracepoint:syscalls:sys_enter_getsid]: 37\n") {
		t.Errorf("got %s", got.text)
	}
	if took := time.Since(ended); took > 8*time.Second {
		t.Errorf("detached in %v", took)
	}
}

func TestInterval(t *testing.T) {
	began := time.Now()
	got := run(t, `interval:ms:5 { @ = count(); if (@ >= 20) { exit(); } }`, nil)
	if n, took := numberAfter(t, got.text, "@: "), time.Since(began); n < 20 || n > int(took/(5*time.Millisecond)) || took < 95*time.Millisecond { // more, until exit() is seen
		t.Errorf("%d in %v", n, took)
	}
}

func TestProfile(t *testing.T) {
	// A host that gives its CPUs to others, and an emulator, miss timers; and the second is over
	// when the script has noticed.
	least, most := 150, 700
	defer keepBusy()() // some machines stop the clock of a CPU that idles
	got := run(t, `profile:hz:499 { @[cpu] = count(); } interval:s:1 { exit(); }`, nil)
	for _, line := range strings.Split(strings.TrimSpace(got.text), "\n") {
		if n := numberAfter(t, line, ": "); n < least || n > most {
			t.Errorf("%s samples in a second", line)
		}
	}
}

func TestSoftwareEvents(t *testing.T) {
	script := fmt.Sprintf(`software:page-faults:1 /pid == %d/ { @ = count(); }`, os.Getpid())
	provoke := func() {
		memory := make([]byte, 64<<20)
		for i := 0; i < len(memory); i += os.Getpagesize() {
			memory[i] = 1
		}
	}
	if n := numberAfter(t, run(t, script, provoke).text, "@: "); n < 16 { // with huge pages there are few
		t.Errorf("%d faults", n)
	}
}

// TestIterator: the tasks that an iterator shows are those of /proc.
func TestIterator(t *testing.T) {
	got := run(t, `iter:task { @[ctx.task.pid] = count(); printf("%d\n", ctx.task.pid); }`, nil)
	if got.result.Reason != "done" || !strings.Contains(got.text, fmt.Sprintf("\n%d\n", os.Getpid())) {
		t.Errorf("%s: got %.300s", got.result.Reason, got.text)
	}
}

// TestUSDT: Python tells of each garbage collection, with the generation, if its semaphore
// is raised.
func TestUSDT(t *testing.T) {
	targets, err := theHost.Targets(bt.USDT, bt.Target{Binary: "python3", Provider: "python", Event: "gc__start"})
	if err != nil || len(targets) == 0 {
		t.Skipf("needs a python3 with USDT probes: %v", err)
	}
	python := command(t, targets[0].Binary, "-c", "import gc\ngc.disable()\nfor i in range(37): gc.collect(1)")
	got := run(t, `usdt:`+targets[0].Binary+`:python:gc__start { @[arg0] = count(); }`, python)
	if !strings.Contains(got.text, "@[1]: 37\n") {
		t.Errorf("got %s", got.text)
	}
}

// waiting starts a program that does what it does and then lives until the test ends.
func waiting(t *testing.T, script string) func() {
	t.Helper()
	path, err := exec.LookPath("perl")
	if err != nil {
		t.Skipf("needs perl: %v", err)
	}
	return func() {
		cmd := exec.Command(path, "-e", script+` $| = 1; print "done\n"; <STDIN>;`)
		in, errIn := cmd.StdinPipe()
		out, errOut := cmd.StdoutPipe()
		if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { in.Close(); cmd.Wait() })
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Error(err)
		}
	}
}

// TestStacks: the stacks of a system call begin in the kernel and end in the program.
func TestStacks(t *testing.T) {
	perl := waiting(t, "for (1..37) { $x = getppid(); }")
	got := run(t, `tracepoint:syscalls:sys_enter_getppid /comm == "perl"/ { @k[kstack(16)] = count(); @u[ustack(1)] = count(); @p[ustack(perf, 1)] = count(); }`, perl)
	for _, want := range []string{"entry_SYSCALL_64_after_hwframe+", "\n        getppid+", " (/"} {
		if !strings.Contains(got.text, want) {
			t.Errorf("no %q in %s", want, got.text)
		}
	}
	if n := strings.Count(got.text, "]: 37\n"); n != 3 {
		t.Errorf("%d stacks were seen 37 times in %s", n, got.text)
	}
}

// TestTexts: values that are looked up when they are shown.
func TestTexts(t *testing.T) {
	got := run(t, `BEGIN { printf("%s|%s|%s|%s|%s\n", username, strerror(2), strftime("%Y", nsecs), ntop(10, pton("::1")), cgroup_path(1)); exit(); }`, nil)
	parts := strings.Split(strings.TrimSuffix(got.text, "\n"), "|")
	if len(parts) != 5 || parts[0] != "root" || parts[1] != "No such file or directory" || parts[2] != strconv.Itoa(time.Now().Year()) || parts[3] != "::1" || !strings.Contains(parts[4], ":/") {
		t.Errorf("got %q", parts)
	}
	got = run(t, `tracepoint:syscalls:sys_enter_execve { join(args.argv); }`, command(t, "true", "skep-one", "two words"))
	if !strings.Contains(got.text, "true skep-one two words\n") {
		t.Errorf("got %s", got.text)
	}
}

func TestSignal(t *testing.T) {
	s := start(t, `self:signal:SIGUSR1 { printf("got it\n"); exit(); } interval:s:100 { exit(); }`, bt.Options{})
	time.AfterFunc(100*time.Millisecond, func() {
		if s.Signal("SIGUSR2") || !s.Signal("SIGUSR1") {
			t.Error("not the right signal")
		}
	})
	if got := follow(t, s, nil); got.text != "got it\n" {
		t.Errorf("got %s", got.text)
	}
}

// keepBusy lets no CPU idle until what it returns is called.
func keepBusy() (stop func()) {
	var done atomic.Bool
	for range runtime.NumCPU() {
		go func() {
			for !done.Load() {
			}
		}()
	}
	return func() { done.Store(true) }
}
