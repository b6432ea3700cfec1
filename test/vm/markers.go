// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"fmt"
	"strings"
)

// CommandResult is what one command of a Guest did.
type CommandResult struct {
	Args []string
	// Finished is false if the guest went away first; then Output is what had arrived.
	Finished bool
	ExitCode int
	// Output is standard output and standard error together.
	Output string
}

// marker starts the lines that init prints between the commands' output. The nonce keeps a program that prints such
// lines, by chance or on purpose, from faking a result.
func marker(nonce string) string { return "@skep-vm-" + nonce }

// transcript is what the second serial port said.
type transcript struct {
	ready    bool
	uptime   string
	done     bool
	fatal    string
	commands []CommandResult
}

// parseTranscript splits the second serial port's text at the markers.
func parseTranscript(text, nonce string, commands [][]string) transcript {
	t := transcript{commands: make([]CommandResult, len(commands))}
	for i, args := range commands {
		t.commands[i].Args = args
	}
	current := -1
	for piece := range strings.SplitSeq("\n"+text, "\n"+marker(nonce)+" ") {
		line, output, _ := strings.Cut(piece, "\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "ready":
			t.ready, t.uptime = true, rest
		case "done":
			t.done = true
		case "fatal":
			t.fatal = rest
		case "start":
			if _, err := fmt.Sscanf(rest, "%d", &current); err != nil || current < 0 || current >= len(commands) {
				current = -1
				continue
			}
			t.commands[current].Output = output
		case "exit":
			var index, code int
			if _, err := fmt.Sscanf(rest, "%d %d", &index, &code); err == nil && index == current && current >= 0 {
				t.commands[current].Finished, t.commands[current].ExitCode = true, code
			}
		}
	}
	return t
}
