// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// bpftraceName is how skep is called where it stands in for bpftrace: by a link of that
// name, such as a script's #!/usr/bin/env bpftrace finds.
const bpftraceName = "bpftrace"

const bpftraceUsage = `USAGE:
    bpftrace [OPTIONS] FILE [ARG...]
    bpftrace [OPTIONS] -e PROGRAM [ARG...]
    bpftrace -l[v] [PATTERN]

This is skep in bpftrace's place: "skep trace" with bpftrace's flags. Taken are
-e, -f text|json, -o FILE, -c CMD, -p PID, -l, -v, -q, -k, --unsafe, --dry-run,
--no-warnings, --usdt-file-activation, -V and -h. -B, -I, --include, -d
and --no-feature tell bpftrace how to do its work, and change nothing here.
`

// dropIn is a call of bpftrace.
type dropIn struct {
	help, version, list bool
	output              string   // file
	flags, words        []string // of skep trace, and what is behind them
}

// bpftraceFlags are those with a value, and what skep trace calls them; "" leaves both out.
var bpftraceFlags = map[string]string{
	"-e": "-e", "-c": "-c", "-p": "-p", "-f": "-o", "-o": "", "-B": "", "-I": "", "-d": "",
	"--include": "", "--no-feature": "", "--aot": "", "--emit-elf": "", "--emit-llvm": "", "--mode": "",
}

// bpftraceSwitches are those without one.
var bpftraceSwitches = map[string]string{
	"-l": "-l", "-v": "-v", "-q": "-q", "-k": "-k", "--unsafe": "--unsafe", "--dry-run": "--dry-run",
	"--no-warnings": "--no-warnings", "--usdt-file-activation": "", "--verify-llvm-ir": "",
}

// longFlags are what bpftrace since 0.24 calls some of these as well.
var longFlags = map[string]string{
	"--cmd": "-c", "--list": "-l", "--output": "-o", "--pid": "-p", "--quiet": "-q", "--verbose": "-v",
}

// parseDropIn reads the arguments as getopt does: flags may stand behind words, and short
// ones together.
func parseDropIn(args []string) (d dropIn, err error) {
	for len(args) > 0 && err == nil {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			d.words = append(d.words, args...)
			return d, nil
		case len(arg) < 2 || arg[0] != '-':
			d.words = append(d.words, arg)
		case strings.HasPrefix(arg, "--"):
			name, value, joined := strings.Cut(arg, "=")
			args, err = d.take(name, value, joined, args)
		default:
			args, err = d.cluster(arg[1:], args)
		}
	}
	return d, err
}

// cluster reads short flags behind one -; the last may have a value.
func (d *dropIn) cluster(letters string, args []string) (rest []string, err error) {
	for letters != "" && err == nil {
		name := "-" + letters[:1]
		letters = letters[1:]
		if _, valued := bpftraceFlags[name]; valued {
			return d.take(name, letters, letters != "", args)
		}
		args, err = d.take(name, "", false, args)
	}
	return args, err
}

// take takes one flag, with its value from the arguments behind it if it is not joined to it.
func (d *dropIn) take(name, value string, joined bool, args []string) (rest []string, err error) {
	if short, ok := longFlags[name]; ok {
		name = short
	}
	switch name {
	case "-h", "--help":
		d.help = true
		return args, nil
	case "-V", "--version":
		d.version = true
		return args, nil
	}
	if to, ok := bpftraceSwitches[name]; ok {
		d.list = d.list || name == "-l"
		if to != "" {
			d.flags = append(d.flags, to)
		}
		return args, nil
	}
	to, ok := bpftraceFlags[name]
	if !ok || !joined && len(args) == 0 {
		return nil, fmt.Errorf("there is no flag %s, or it lacks its value", name)
	}
	if !joined {
		value, args = args[0], args[1:]
	}
	if err := checkDropIn(name, value); err != nil {
		return nil, err
	}
	if name == "-o" {
		d.output = value
	} else if to != "" {
		d.flags = append(d.flags, to, value)
	}
	return args, nil
}

// dropInError is a value that bpftrace refuses, in the words that programs which call it know.
type dropInError struct{ text string }

func (e *dropInError) Error() string { return e.text }

func checkDropIn(name, value string) error {
	switch name {
	case "-p":
		const most = 1 << 22
		switch n, err := strconv.ParseUint(value, 10, 63); {
		case err != nil:
			return &dropInError{fmt.Sprintf("Failed to parse pid: pid '%s' is not a valid decimal number", value)}
		case n < 1 || n > most:
			return &dropInError{fmt.Sprintf("Failed to parse pid: pid '%s' out of valid pid range [1,%d]", value, most)}
		}
	case "-f":
		if value != "text" && value != "json" {
			return &dropInError{fmt.Sprintf("Invalid output format %q", value)}
		}
	}
	return nil
}

// dropIn runs skep trace as bpftrace would run.
func (a *app) dropIn(args []string) (call []string, code int, done bool) {
	d, err := parseDropIn(args)
	if refused, ok := err.(*dropInError); ok { //nolint:errorlint // it is not wrapped
		fmt.Fprintln(a.err, "ERROR: "+refused.text)
		return nil, exitFailed, true
	}
	switch {
	case err != nil:
		fmt.Fprintf(a.err, "bpftrace: %v\n%s", err, bpftraceUsage)
		return nil, exitFailed, true
	case d.help:
		fmt.Fprint(a.out, bpftraceUsage)
		return nil, exitOK, true
	case d.version:
		fmt.Fprintf(a.out, "bpftrace v0.23 is the language; skep %s runs it\n", a.version)
		return nil, exitOK, true
	}
	if d.output != "" {
		f, err := os.Create(d.output)
		if err != nil {
			fmt.Fprintln(a.err, "ERROR: "+err.Error())
			return nil, exitFailed, true
		}
		a.out, a.tty = f, f // closed when the process ends
		a.screen = newScreen(f, os.Getenv)
	}
	return append(append([]string{"trace"}, d.flags...), append([]string{"--"}, d.words...)...), 0, false
}

// openError says in bpftrace's words that a file cannot be opened.
type openError struct {
	path  string
	cause error
}

func (e *openError) Error() string {
	var number syscall.Errno
	why := e.cause.Error()
	if errors.As(e.cause, &number) {
		why = number.Error()
	}
	return fmt.Sprintf("failed to open file '%s': %s", e.path, strings.ToUpper(why[:1])+why[1:])
}

// Unwrap is why.
func (e *openError) Unwrap() error { return e.cause }

// dropInDiagnostic shows what is wrong in a script as bpftrace does: the place from and to a
// column, and a line of ~ below.
func dropInDiagnostic(d *skepv1.TraceDiagnostic) string {
	kind := "WARNING: "
	if d.GetSeverity() == skepv1.TraceDiagnostic_SEVERITY_ERROR {
		kind = "ERROR: "
	}
	text := or(d.GetReference(), d.GetText())
	if d.GetLine() == 0 && d.GetReference() != "" {
		return printableLines(text, "") + "\n"
	}
	if strings.HasPrefix(text, kind) || d.GetLine() == 0 {
		return kind + printableLines(strings.TrimPrefix(text, kind), "") + "\n"
	}
	column, length := int(d.GetColumn()), max(int(d.GetLength()), 1)
	out := fmt.Sprintf("%s:%d:%d-%d: %s%s\n", event.Printable(or(d.GetName(), "stdin")), d.GetLine(), column, column+length, kind, printableLines(text, ""))
	if d.GetSource() != "" {
		out += printableLines(d.GetSource(), "") + "\n" + strings.Repeat(" ", max(column-1, 0)) + strings.Repeat("~", length) + "\n"
	}
	if d.GetHint() != "" {
		out += "HINT: " + printableLines(d.GetHint(), "") + "\n"
	}
	return out
}
