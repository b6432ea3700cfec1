// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"time"
)

// agent is a command that runs beside the cases.
type agent struct {
	command, dir string
	slow         time.Duration // how many times slower than usual the machine is
	process      *process
}

// answers is how long an agent has until it answers, and to end.
const answers = 10 * time.Second

// ensure starts the agent where it does not run, or is about to end: SKEP_SOCKET is then gone.
func (a *agent) ensure() error {
	if a.command == "" || a.process != nil && !a.process.wait(0) && a.reachable() {
		return nil
	}
	a.end()
	if socket := os.Getenv("SKEP_SOCKET"); socket != "" {
		_ = os.Remove(socket) // that of an agent that was killed would look like an answer
	}
	var err error
	if a.process, err = start(a.dir, os.Environ(), nil, "/bin/sh", "-c", a.command); err != nil {
		return fmt.Errorf("start agent: %w", err)
	}
	limit := answers * max(a.slow, 1)
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if a.process.wait(50 * time.Millisecond) {
			return fmt.Errorf("start agent: it ended: %s", a.process.text())
		}
		if a.reachable() {
			return nil
		}
	}
	return fmt.Errorf("start agent: it does not answer within %v: %s", limit, a.process.text())
}

// reachable tells whether the agent's socket is there, if the environment names one.
func (a *agent) reachable() bool {
	socket := os.Getenv("SKEP_SOCKET")
	if socket == "" {
		return true
	}
	_, err := os.Stat(socket)
	return err == nil
}

func (a *agent) end() {
	if a.process != nil {
		a.process.end(answers)
	}
}
