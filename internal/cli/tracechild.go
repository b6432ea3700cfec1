// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// held is a command that waits at its first instruction until it is released, so that a
// script which is attached by then misses nothing of it. It ends with us.
type held struct {
	pid  int
	free chan struct{}
	done chan struct{} // closed when it has ended
}

// hold starts a command. A traced process stops when its exec is done (ptrace(2),
// PTRACE_TRACEME); all requests about it have to come from the thread that started it.
func hold(command string, split func(string) ([]string, error), out, errs io.Writer) (*held, error) {
	words, err := split(command)
	if err != nil {
		return nil, usage("-c: %w", err)
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGTERM}
	h := &held{free: make(chan struct{}), done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: Pdeathsig is about this thread
		if err := startHeld(cmd); err != nil {
			started <- fmt.Errorf("start the command of -c: %w", err)
			return
		}
		h.pid = cmd.Process.Pid
		started <- nil
		<-h.free
		_ = syscall.PtraceDetach(h.pid) // it may have been killed
		_ = cmd.Wait()                  // how it ends is not our business
		close(h.done)
	}()
	return h, <-started
}

func startHeld(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	var status syscall.WaitStatus
	_, err := syscall.Wait4(cmd.Process.Pid, &status, 0, nil)
	if err == nil && !status.Stopped() {
		err = errors.New("it ended at once")
	}
	if err == nil {
		const exitKill = 0x100000 // PTRACE_O_EXITKILL: should we die before it is released
		err = syscall.PtraceSetOptions(cmd.Process.Pid, exitKill)
	}
	if err != nil {
		_ = cmd.Process.Kill()
	}
	return err
}

// release lets the command run; once more is nothing.
func (h *held) release() {
	select {
	case <-h.free:
	default:
		close(h.free)
	}
}

// end ends the command, if it has not.
func (h *held) end() {
	select {
	case <-h.done:
		return
	default:
	}
	_ = syscall.Kill(h.pid, syscall.SIGTERM)
	h.release()
	select {
	case <-h.done:
	case <-time.After(time.Second):
		_ = syscall.Kill(h.pid, syscall.SIGKILL)
	}
}

// split is how a command of -c is cut into words: bpftrace knows no quotes.
func (a *app) split() func(string) ([]string, error) {
	if !a.asBpftrace {
		return splitCommand
	}
	return func(command string) ([]string, error) {
		words := strings.Fields(command)
		if len(words) == 0 {
			return nil, errors.New("the command is empty")
		}
		return words, nil
	}
}

// splitCommand cuts a command into words as a shell does, with quotes and backslashes and
// without anything else of it.
func splitCommand(command string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, escaped, quote := false, false, rune(0)
	for _, r := range command {
		switch {
		case escaped:
			if quote == '"' && !strings.ContainsRune("\"\\$`", r) {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case strings.ContainsRune(" \t\n", r):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	switch {
	case quote != 0:
		return nil, fmt.Errorf("a %c is not closed in %s", quote, command)
	case escaped:
		return nil, fmt.Errorf("nothing follows the last backslash of %s", command)
	case len(words) == 0 || words[0] == "":
		return nil, errors.New("the command is empty")
	}
	return words, nil
}
