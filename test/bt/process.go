// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

// process is a command of a case, in a session of its own so that it can be ended with
// everything that it started.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu     sync.Mutex
	output bytes.Buffer
	notify func(line string) // called with each line
	line   []byte
}

// start runs a command in a folder.
func start(dir string, env []string, notify func(string), name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{}), notify: notify}
	p.cmd.Dir, p.cmd.Env = dir, env
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.cmd.WaitDelay = time.Second // for what keeps the pipe open behind it
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is looked at later
		close(p.done)
	}()
	return p, nil
}

// Write collects the output and tells of its lines.
func (p *process) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	written := len(data)
	for len(data) > 0 {
		piece, ended := data, false
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			piece, ended = data[:i+1], true
		}
		data = data[len(piece):]
		p.add(piece)
		if ended {
			if p.notify != nil {
				p.notify(strings.TrimRight(string(p.line), "\r\n"))
			}
			p.line = p.line[:0]
		}
	}
	return written, nil
}

// add keeps a piece of the output, unless there is too much already: a case may flood.
func (p *process) add(piece []byte) {
	const most = 16 << 20
	if p.output.Len() < most {
		p.output.Write(piece)
		p.line = append(p.line, piece...)
	}
}

// forget drops what was written so far.
func (p *process) forget() { p.output.Reset() }

// text is what was written so far, with bytes that are no text written as \xhh.
func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return asText(p.output.Bytes())
}

func asText(data []byte) string {
	var b strings.Builder
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 {
			const hex = "0123456789abcdef"
			b.WriteString(`\x` + string(hex[data[0]>>4]) + string(hex[data[0]&15]))
		} else {
			b.Write(data[:n])
		}
		data = data[n:]
	}
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}

// wait tells whether the process ended by itself within a time.
func (p *process) wait(limit time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(limit):
	}
	// Where both are there, select takes any of them.
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end asks the process and its children to end, then makes them.
func (p *process) end(grace time.Duration) {
	if grace > 0 {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM) // it may be gone
		if p.wait(grace) {
			return
		}
	}
	p.kill()
}

// kill ends everything in the session. A child may outlive its parent, so it is done even
// if that is gone.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may be gone
	<-p.done
}
