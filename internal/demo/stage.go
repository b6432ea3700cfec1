// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Verb is the hidden command of skep that runs [Main].
const Verb = "demo-stage"

// A Stage is where scenes are played. It is used by one goroutine.
type Stage struct {
	// Container is the id of what looks like the stage's container.
	Container string

	dir     string
	group   *group
	command *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
	ended   chan struct{}
}

// oomRoom is how much memory the victim gets.
const oomRoom = 48 << 20

// Open sets the stage up. It needs root. When ctx ends, so does all that runs on it.
func Open(ctx context.Context) (s *Stage, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("set up the stage: %w", err)
		}
	}()
	id := make([]byte, 32)
	_, _ = rand.Read(id) // never fails
	s = &Stage{Container: hex.EncodeToString(id), ended: make(chan struct{})}
	if s.dir, err = os.MkdirTemp("", "skep-demo-"); err != nil {
		return nil, err
	}
	if s.group, err = newGroup(s.Container); err != nil {
		return nil, errors.Join(err, os.Remove(s.dir))
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.sweep())
	}
	if err := s.enter(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// enter puts the stage into its cgroup and lets it begin.
func (s *Stage) enter() error {
	if err := s.group.join(s.command.Process.Pid); err != nil {
		return err
	}
	return s.order("begin")
}

// start starts the stage's process from a thread that lives as long: the kernel takes the
// thread that forked for the parent whose death the child shares (prctl(2)).
func (s *Stage) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.command = exec.CommandContext(ctx, self, Verb, s.dir)
	s.command.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	s.command.Dir = "/"
	s.command.Stderr = os.Stderr
	s.command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // the terminal's Ctrl-C is for us
	}
	if s.orders, err = s.command.StdinPipe(); err != nil {
		return err
	}
	out, err := s.command.StdoutPipe()
	if err != nil {
		return err
	}
	s.answers = bufio.NewReader(out)
	started := make(chan error, 1)
	go func() {
		defer close(s.ended)
		runtime.LockOSThread() // and never unlocked: the thread ends with the stage
		err := s.command.Start()
		started <- err
		if err == nil {
			_, _ = s.command.Process.Wait() // not Wait, which would close the pipe of an answer
		}
	}()
	return <-started
}

// order tells the stage to do something and waits until it has.
func (s *Stage) order(what string) error {
	if _, err := io.WriteString(s.orders, what+"\n"); err != nil {
		return fmt.Errorf("the stage has ended: %w", err)
	}
	answer, err := s.answers.ReadString('\n')
	if err != nil {
		return fmt.Errorf("the stage has ended: %w", err)
	}
	if answer = strings.TrimSpace(answer); answer != done {
		return errors.New(answer)
	}
	return nil
}

// CanPlay says why a scene cannot be played here, if so.
func (s *Stage) CanPlay(scene Scene) error {
	if scene.Limited && s.group.limit == "" {
		return errors.New("no cgroup hierarchy with the memory controller holds containers here")
	}
	return nil
}

// Play plays a scene to its end.
func (s *Stage) Play(scene Scene) error {
	if scene.Limited {
		if err := s.group.limitTo(oomRoom); err != nil {
			return err
		}
	}
	if err := s.order(scene.Name); err != nil {
		return fmt.Errorf("play %s: %w", scene.Name, err)
	}
	return nil
}

// Close ends all that runs on the stage and takes it away.
func (s *Stage) Close() error {
	_ = s.command.Process.Kill() // it is over already, or this ends all of its pid namespace
	<-s.ended
	return s.sweep()
}

func (s *Stage) sweep() error { return errors.Join(s.group.remove(), os.Remove(s.dir)) }
