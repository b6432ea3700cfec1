// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/trace/host"
)

// theHost is shared: what it has read of the kernel serves all tests.
var theHost = host.New("/sys/fs/cgroup/unified")

// start compiles and loads a script, with what a test allows.
func start(t *testing.T, text string, options bt.Options) *Session {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs scripts")
	}
	program, errs := syntax.Parse(text, nil)
	if len(errs) > 0 {
		t.Fatalf("%s: %v", text, errs.Err())
	}
	script, problems := bt.Compile(program, theHost, options)
	if script == nil {
		t.Fatalf("%s: %v", text, problems)
	}
	s, err := Start(theHost, script, Options{})
	var rejected *Rejected
	if errors.As(err, &rejected) {
		t.Fatalf("%s: %v\n%s", text, err, strings.Join(rejected.Log, "\n"))
	}
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// said is what a script printed, and all that it said.
type said struct {
	text    string
	outputs []Output
	result  Result
}

// run runs a script: once it is attached it calls provoke, and then asks the script to end,
// unless it is nil: then the script must end by itself.
func run(t *testing.T, text string, provoke func()) said {
	t.Helper()
	return follow(t, start(t, text, bt.Options{Unsafe: true}), provoke)
}

func follow(t *testing.T, s *Session, provoke func()) said {
	t.Helper()
	return followSlowly(t, s, provoke, 0)
}

// followSlowly is follow with a listener that takes its time with each batch.
func followSlowly(t *testing.T, s *Session, provoke func(), pause time.Duration) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out said
	var text strings.Builder
	end := make(chan string, 1)
	result, err := s.Run(ctx, end, func(batch []Output) error {
		time.Sleep(pause)
		for _, o := range batch {
			if o.Kind == Attached && provoke != nil {
				provoke()
				end <- "asked"
			}
			out.outputs = append(out.outputs, o)
			switch o.Kind {
			case Value:
				text.WriteString(o.Value.String() + "\n")
			case MapDump:
				text.WriteString(o.Map.String())
			default:
				text.WriteString(o.Text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out.result, out.text = result, text.String()
	return out
}

const provoked = 37

// getsids makes system calls that nothing else in this process makes.
func getsids() {
	for range provoked {
		unix.Syscall(unix.SYS_GETSID, 0, 0, 0)
	}
}

func TestScripts(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{`BEGIN { printf("hi %d %s\n", 3, "x"); exit(); }`, "hi 3 x\n"},
		{`BEGIN { @a[1] = 2; @a[5] = 1; @b["x", 1] = 3; @c = "hello"; exit(); }`, "@a[5]: 1\n@a[1]: 2\n@b[x, 1]: 3\n@c: hello\n"},
		{`BEGIN { @ = count(); @s = sum(-5); @m = min(3); @x = max(9); exit(); }`, "@: 1\n@m: 3\n@s: -5\n@x: 9\n"},
		{`BEGIN { @v = avg(7); @t = stats(10); @t = stats(-3); exit(); }`, "@t: count 2, average 3, total 7\n\n@v: 7\n\n"},
		{`BEGIN { @h = hist(5); @h = hist(6); @l = lhist(15, 0, 100, 10); exit(); }`,
			"@h:\n[4, 8)                 2 |" + strings.Repeat("@", 52) + "|\n\n@l:\n[10, 20)               1 |" + strings.Repeat("@", 52) + "|\n\n"},
		{`BEGIN { print(5); print("abc"); print((1, "x")); exit(); }`, "5\nabc\n(1, x)\n"},
		{`BEGIN { @a[1] = 10; @a[2] = 30; @a[3] = 20; print(@a, 2); print(@a, 2, 10); clear(@a); exit(); } END { printf("end\n"); }`, "@a[3]: 20\n@a[2]: 30\n@a[3]: 2\n@a[2]: 3\nend\n\n"},
		{`BEGIN { print(ntop(0x0100007f)); printf("%s\n", ksym(kaddr("vfs_read"))); exit(); }`, "127.0.0.1\nvfs_read\n"},
		{`BEGIN { @[probe] = 1; exit(3); }`, "@[BEGIN]: 1\n"},
	} {
		got := run(t, c.script, nil)
		if got.text != c.want {
			t.Errorf("%s: got\n%q, want\n%q", c.script, got.text, c.want)
		}
		if strings.Contains(c.script, "exit(3)") && got.result.Code != 3 {
			t.Errorf("%s: %+v", c.script, got.result)
		}
	}
}

// TestCounts compares what scripts count with what was provoked.
func TestCounts(t *testing.T) {
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ script, want string }{
		{`tracepoint:syscalls:sys_enter_getsid /pid == PID/ { @[comm] = count(); }`, "@[COMM]: 37\n"},
		{`tracepoint:syscalls:sys_exit_getsid /pid == PID/ { @ = count(); }`, "@: 37\n"},
		{`tracepoint:syscalls:sys_*_getsid /pid == PID/ { @[probe] = count(); }`, "@[tracepoint:syscalls:sys_enter_getsid]: 37\n@[tracepoint:syscalls:sys_exit_getsid]: 37\n"},
		{`tracepoint:syscalls:sys_enter_getsid /pid == PID/ { @[args.pid] = sum(2); }`, "@[0]: 74\n"},
	} {
		script := strings.ReplaceAll(c.script, "PID", strconv.Itoa(os.Getpid()))
		want := strings.ReplaceAll(c.want, "COMM", strings.TrimSpace(string(comm)))
		if got := run(t, script, getsids); got.text != want || got.result.Reason != "asked" {
			t.Errorf("%s: got\n%s(%s), want\n%s", script, got.text, got.result.Reason, want)
		}
	}
}

// TestListenerEnds: a listener that ends its goroutine ends its script.
func TestListenerEnds(t *testing.T) {
	s := start(t, `BEGIN { printf("hi\n"); }`, bt.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.Run(ctx, nil, func([]Output) error { runtime.Goexit(); return nil }); err == nil || ctx.Err() != nil {
		t.Errorf("ended with %v", err)
	}
}

// A signal that the client tells of runs its own probes only, and ends nothing.
func TestSignalProbes(t *testing.T) {
	s := start(t, `self:signal:SIGUSR1 { printf("one"); } self:signal:SIGUSR2 { printf("two"); exit(5); }`, bt.Options{})
	end := make(chan string, 3)
	for _, name := range []string{"SIGUSR1", "SIGHUP", "USR2"} {
		end <- SignalReason + name
	}
	text := ""
	result, err := s.Run(t.Context(), end, func(batch []Output) error {
		for _, o := range batch {
			text += o.Text
		}
		return nil
	})
	if err != nil || text != "onetwo" || result.Code != 5 || result.Reason != "exit" {
		t.Errorf("said %q and ended with %+v, %v", text, result, err)
	}
}

// Probes of one place run in the order of the script.
func TestOrderOfUprobes(t *testing.T) {
	for _, kind := range []string{"uprobe", "uretprobe"} {
		text := `K:libc:getppid /comm == "perl"/ { printf("one "); } K:libc:getppid /comm == "perl"/ { printf("two "); } K:libc:getppid /comm == "perl"/ { printf("three"); }`
		got := run(t, strings.ReplaceAll(text, "K", kind), waiting(t, "$x = getppid();"))
		if !strings.HasPrefix(got.text, "one two three") {
			t.Errorf("%s: %q", kind, got.text)
		}
	}
}

// TestEndProbesAfterManyExits: several CPUs come to exit() before the first is seen. The end
// probes run all the same, and the first decides.
func TestEndProbesAfterManyExits(t *testing.T) {
	for range 20 {
		got := run(t, `profile:hz:999 { exit(7); } END { printf("bye\n"); }`, nil)
		if got.text != "bye\n" || got.result.Code != 7 {
			t.Fatalf("said %q, code %d", got.text, got.result.Code)
		}
	}
}
