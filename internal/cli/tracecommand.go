// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// maxCat bounds what is shown of a file if the script does not.
const maxCat = 1 << 20

// command does what a script wants done here. The agent sends none that the user has not
// allowed; that is not left to it.
func (p *tracePrinter) command(c *skepv1.TraceCommand) error {
	text := string(c.GetText())
	switch c.GetKind() {
	case skepv1.TraceCommand_KIND_SYSTEM:
		if !p.flags.unsafe {
			return fail(exitFailed, "the agent wants a command to be run here, which takes --unsafe: %s", event.Printable(text))
		}
		return p.system(text)
	case skepv1.TraceCommand_KIND_CAT:
		return p.cat(text, c.GetMaxBytes())
	}
	return nil
}

// system runs a command in a shell, as system(3) does, and waits for it.
func (p *tracePrinter) system(text string) error {
	if err := p.flush(); err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", text)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, p.app.out, p.app.err
	var out bytes.Buffer
	if p.json {
		cmd.Stdout = &out
	}
	err := cmd.Run()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		p.told(fmt.Sprintf("system(%s): %v", event.Printable(text), err))
	}
	if p.json {
		p.said("syscall", out.String())
	}
	return nil
}

func (p *tracePrinter) cat(path string, most uint64) error {
	if most == 0 || most > maxCat {
		most = maxCat
	}
	file, err := os.Open(path)
	if err != nil {
		if p.app.asBpftrace {
			return p.tell("ERROR: " + event.Printable((&openError{path, err}).Error()) + "\n")
		}
		p.told("cat: " + event.Printable(err.Error()))
		return nil
	}
	defer file.Close()
	var text strings.Builder
	if _, err := io.Copy(&text, io.LimitReader(file, int64(most))); err != nil {
		p.told("cat: " + event.Printable(err.Error()))
	}
	p.said("cat", text.String())
	return nil
}
