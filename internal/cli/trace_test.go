// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// notedAgent is a fake agent whose requests are kept in a file.
func notedAgent(t *testing.T) (f *fakeAgent, noted func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "requests")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return &fakeAgent{requests: file}, func() string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func awaitText(t *testing.T, what string, read func() string, want string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(read(), want); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: no %q in %s", what, want, read())
		}
	}
}

// TestTraceInterrupted: Ctrl-C ends the script, and not the hearing of its last words.
func TestTraceInterrupted(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		agent, noted := notedAgent(t)
		cmd, out, stderr := startSkepOn(t, agent, "trace", "-e", "follow")
		lines := bufio.NewReader(out)
		said := ""
		for !strings.Contains(said, "attached\n") {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("%v: %q, %v, %s", sig, said, err, stderr)
			}
			said += line
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(lines)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v, %s", sig, err, stderr)
		}
		if string(rest) != "the end probe\n\n\n@n: 5\n" {
			t.Errorf("%v: said %q at its end", sig, rest)
		}
		awaitText(t, "requests", noted, `EndTrace {"id":"fake"}`)
	}
}

// TestTraceInterruptedAgain: the second Ctrl-C ends skep, whatever the agent does.
func TestTraceInterruptedAgain(t *testing.T) {
	agent, noted := notedAgent(t)
	cmd, out, stderr := startSkepOn(t, agent, "trace", "-e", "stubborn")
	lines := bufio.NewReader(out)
	for line := ""; line != "attached\n"; {
		var err error
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Process.Signal(syscall.SIGINT)
	awaitText(t, "requests", noted, "EndTrace")
	cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v, %s", err, stderr)
	}
	awaitText(t, "requests", noted, "Gone")
}

// TestTraceInterruptedCommand: who wants the script to end, or the end of the command of -c, does
// not wait for a command of the script's.
func TestTraceInterruptedCommand(t *testing.T) {
	for name, c := range map[string]struct {
		signal bool
		args   []string
	}{
		"SIGTERM":     {true, nil},
		"the command": {false, []string{"-c", "true"}},
	} {
		agent, noted := notedAgent(t)
		goOn := filepath.Join(t.TempDir(), "on")
		script := "confirm while ! [ -e " + goOn + " ]; do sleep 0.01; done; echo done"
		cmd, out, stderr := startSkepOn(t, agent, append([]string{"trace", "--unsafe", "-q", "-e", script}, c.args...)...)
		lines := bufio.NewReader(out)
		if line, err := lines.ReadString('\n'); line != "before\n" {
			t.Fatalf("%s: %q, %v, %s", name, line, err, stderr)
		}
		if c.signal {
			cmd.Process.Signal(syscall.SIGTERM)
		}
		awaitText(t, name, noted, `EndTrace {"id":"fake"}`)
		if err := os.WriteFile(goOn, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(lines)
		if err := cmd.Wait(); err != nil || string(rest) != "done\nafter\nit is done\n\n\n" {
			t.Errorf("%s: said %q, %v, %s", name, rest, err, stderr)
		}
	}
}

// TestTraceInterruptedCommandAgain: the second signal ends what the script does here too.
func TestTraceInterruptedCommandAgain(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{"system echo $$; exec sleep 1000", "cat " + fifo} {
		agent, noted := notedAgent(t)
		cmd, out, stderr := startSkepOn(t, agent, "trace", "--unsafe", "-e", script)
		lines := bufio.NewReader(out)
		line, _ := lines.ReadString('\n')
		pid := 0
		for strings.HasPrefix(script, "system") && pid == 0 && line != "" {
			line, _ = lines.ReadString('\n')
			pid, _ = strconv.Atoi(strings.TrimSpace(line))
		}
		cmd.Process.Signal(syscall.SIGTERM)
		awaitText(t, script, noted, `EndTrace {"id":"fake"}`)
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v, %s", script, err, stderr)
		}
		awaitText(t, script, func() string {
			if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); pid != 0 && err == nil && !strings.Contains(string(stat), ") Z ") {
				return string(stat)
			}
			return "it has ended"
		}, "it has ended")
	}
}

// TestTraceInterruptedEarly: what is not attached yet has nothing to say.
func TestTraceInterruptedEarly(t *testing.T) {
	agent, noted := notedAgent(t)
	cmd, _, stderr := startSkepOn(t, agent, "trace", "-e", "slow")
	awaitText(t, "requests", noted, `"script":"slow"`)
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || stderr.Len() > 0 {
		t.Errorf("exit %d, %s", code, stderr)
	}
	awaitText(t, "requests", noted, "Gone")
}

// TestTraceKilled: the agent hears of it, and the command of -c ends too.
func TestTraceKilled(t *testing.T) {
	agent, noted := notedAgent(t)
	cmd, out, _ := startSkepOn(t, agent, "trace", "-c", "sleep 1000", "-e", "follow")
	lines := bufio.NewReader(out)
	for line := ""; line != "attached\n"; {
		var err error
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	pid := between(noted(), `"command_pid":`, ",")
	if _, err := os.Stat("/proc/" + pid); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	awaitText(t, "requests", noted, "Gone")
	awaitText(t, "the command", func() string {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return "it has ended"
		}
		return string(stat)
	}, "it has ended")
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}

func TestSplitCommand(t *testing.T) {
	for command, want := range map[string][]string{
		"ls -l":                       {"ls", "-l"},
		"  a\tb  ":                    {"a", "b"},
		`sh -c 'echo "$1"' x ""`:      {"sh", "-c", `echo "$1"`, "x", ""},
		`a\ b "c\"d\e" '\'`:           {"a b", `c"d\e`, `\`},
		`x"y"'z'`:                     {"xyz"},
		``:                            nil,
		`''`:                          nil,
		`a "b`:                        nil,
		`a \`:                         nil,
		"./prog --name='two words' é": {"./prog", "--name=two words", "é"},
	} {
		got, err := splitCommand(command)
		if (err != nil) != (want == nil) || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, %v", command, got, err)
		}
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("a", 300) + "HERE" + strings.Repeat("b", 300)
	for _, c := range []struct {
		line           string
		column, length int
		text, mark     string
	}{
		{"kprobe:f { }", 1, 6, "kprobe:f { }", "^~~~~~"},
		{"kprobe:f { }", 8, 0, "kprobe:f { }", "       ^"},
		{"é = x", 6, 1, "é = x", "    ^"},
		{"end", 4, 1, "end", "   ^"},
		{"end", 9, 1, "end", ""},
		{"end", 0, 0, "end", ""},
		{long, 301, 4, "..." + strings.Repeat("a", 66) + "HERE" + strings.Repeat("b", 27) + "...", strings.Repeat(" ", 69) + "^~~~"},
	} {
		text, mark := excerpt(c.line, c.column, c.length)
		if text != c.text || mark != c.mark {
			t.Errorf("%.20q:%d:\n%s\n%s", c.line, c.column, text, mark)
		}
	}
}

// FuzzTrace: whatever an agent says, it can be shown on a terminal.
func FuzzTrace(f *testing.F) {
	for _, events := range [][]*skepv1.TraceEvent{sampleTrace(), wrongScript(hostile), listedProbes(true).Events} {
		data, err := proto.Marshal(&skepv1.TraceResponse{Events: events})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m skepv1.TraceResponse
		if proto.Unmarshal(data, &m) != nil {
			return
		}
		for _, output := range []string{"text", "json"} {
			var out, errs strings.Builder
			a := &app{out: &out, err: &errs, screen: screen{terminal: true}}
			p := a.newTracePrinter(&traceFlags{output: output, verbose: true}, &skepv1.TraceRequest{Name: hostile, Mode: skepv1.TraceMode_TRACE_MODE_RUN})
			for _, e := range m.GetEvents() {
				if e.GetCommand() != nil {
					continue
				}
				if err := p.event(e); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.end(); err != nil {
				t.Fatal(err)
			}
			checkPrintable(t, output, strings.ReplaceAll(out.String(), "\t", ""))
			checkPrintable(t, "about the script", errs.String())
		}
	})
}
