// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// How this program knows that it is called in bpftrace's place.
const (
	linkName        = "bpftrace"
	commandVariable = "SKEP_BT_COMMAND"
	keepVariable    = "SKEP_BT_KEEP_FLAGS"
)

// translated is a call of bpftrace as a call of skep.
type translated struct {
	args   []string
	output string // file that the output goes to, or ""
}

// valued are the flags of bpftrace with a value, and what skep calls them; "" drops both.
var valued = map[string]string{
	"-e": "-e", "-c": "-c", "-p": "-p", "-f": "-o",
	"-B": "", "-I": "", "--include": "", "-d": "", "--mode": "",
}

// dropped are flags that change nothing that skep could do otherwise.
var dropped = map[string]bool{"-q": true, "-v": true, "-k": true, "--no-warnings": true}

// translate turns the flags of bpftrace into those of skep trace. Everything behind the
// script belongs to it.
func translate(args []string) translated {
	var t translated
	script := false
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" || !strings.HasPrefix(arg, "-") || arg == "-" {
			if !script {
				t.args = append(t.args, args[i:]...)
				return t
			}
			t.args = append(t.args, arg)
			continue
		}
		name, value, joined := cutFlag(arg)
		switch to, ok := valued[name]; {
		case name == "-o" || ok:
			if !joined {
				if i++; i < len(args) {
					value = args[i]
				}
			}
			if name == "-o" {
				t.output = value
			} else if to != "" {
				t.args = append(t.args, to, value)
			}
			script = script || name == "-e"
		case dropped[arg]:
		default:
			t.args = append(t.args, arg)
		}
	}
	return t
}

// cutFlag takes a short flag apart from its value: -e'...' , -ve '...', -fjson.
func cutFlag(arg string) (name, value string, joined bool) {
	if strings.HasPrefix(arg, "--") {
		return strings.Cut(arg, "=")
	}
	for len(arg) > 2 && dropped[arg[:2]] {
		arg = "-" + arg[2:]
	}
	if _, ok := valued[arg[:2]]; (ok || arg[:2] == "-o") && len(arg) > 2 {
		return arg[:2], arg[2:], true
	}
	return arg, "", false
}

// standIn is what this program does under bpftrace's name: it becomes skep.
func standIn(command string) error {
	words := strings.Fields(command)
	if len(words) == 0 {
		return fmt.Errorf("run skep: %s is empty", commandVariable)
	}
	path, err := exec.LookPath(words[0])
	if err != nil {
		return fmt.Errorf("run skep: %w", err)
	}
	t := translated{args: os.Args[1:]}
	if os.Getenv(keepVariable) == "" {
		t = translate(os.Args[1:])
	}
	if t.output != "" {
		f, err := os.Create(t.output)
		if err != nil {
			return fmt.Errorf("open output: %w", err)
		}
		if err := syscall.Dup3(int(f.Fd()), 1, 0); err != nil {
			return fmt.Errorf("open output: %w", err)
		}
	}
	return syscall.Exec(path, append(words, t.args...), os.Environ())
}
