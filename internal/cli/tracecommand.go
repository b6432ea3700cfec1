// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
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
	var out bytes.Buffer
	err := p.beside(func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", text)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, p.app.out, p.app.err
		if p.json {
			cmd.Stdout = &out
		}
		return cmd.Run()
	})
	var status *exec.ExitError
	switch {
	case isCanceled(err):
		return err
	case err != nil && !errors.As(err, &status):
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
	if err := p.flush(); err != nil {
		return err
	}
	var text strings.Builder
	err := p.beside(func(context.Context) error { // of a FIFO it may wait for ever
		file, err := os.Open(path)
		if err != nil {
			return &openError{path, err}
		}
		defer file.Close()
		_, err = io.Copy(&text, io.LimitReader(file, int64(most)))
		return err
	})
	var unopened *openError
	switch {
	case isCanceled(err):
		return err
	case errors.As(err, &unopened):
		if p.app.asBpftrace {
			return p.tell("ERROR: " + event.Printable(unopened.Error()) + "\n")
		}
		p.told("cat: " + event.Printable(unopened.cause.Error()))
		return nil
	case err != nil:
		p.told("cat: " + event.Printable(err.Error()))
	}
	p.said("cat", text.String())
	return nil
}
