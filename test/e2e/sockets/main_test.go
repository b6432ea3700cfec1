// SPDX-License-Identifier: Apache-2.0

// Package sockets checks the records of UDP flows and of connects to unix sockets of a
// running agent against what real programs have counted, and the kernel beside them.
package sockets

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

func TestMain(m *testing.M) { os.Exit(skepdtest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func needPython(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skipf("needs python3: %v", err)
	}
}

// program is a running Python program, which has said something in JSON.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	input interface{ Close() error }
	out   *bufio.Scanner
}

// python starts a program. It ends when its standard input does.
func python(t *testing.T, code string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command("python3", append([]string{"-c", code}, args...)...)}
	var stderr bytes.Buffer
	p.cmd.Stderr = &stderr
	input, err := p.cmd.StdinPipe()
	must(t, err)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	p.input, p.out = input, bufio.NewScanner(out)
	must(t, p.cmd.Start())
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("python3 says: %s", stderr.String())
		}
	})
	return p
}

func (p *program) pid() uint32 { return uint32(p.cmd.Process.Pid) }

// said reads its next line.
func (p *program) said(to any) {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("the program has ended: %v", p.out.Err())
	}
	must(p.t, json.NewDecoder(strings.NewReader(p.out.Text())).Decode(to))
}

func (p *program) end() {
	p.t.Helper()
	p.input.Close()
	must(p.t, p.cmd.Wait())
}
