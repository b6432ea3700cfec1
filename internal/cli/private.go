// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	agentStart = 30 * time.Second
	agentStop  = 10 * time.Second
)

// privateAgent is an agent that lives for one command.
type privateAgent struct {
	*child
	client *client
	dir    string
}

// startPrivate starts skepd with a socket that only root can reach, and further arguments.
func (a *app) startPrivate(ctx context.Context, args ...string) (*privateAgent, error) {
	dir, err := os.MkdirTemp("", "skep-private-")
	if err != nil {
		return nil, fmt.Errorf("start a private agent: %w", err)
	}
	socket := filepath.Join(dir, "skep.sock")
	fmt.Fprintf(a.err, "skep: no agent at %s; starting a private one for this command\n", a.socket)
	args = append([]string{"--private", "--no-ship", "--socket", socket, "--data-dir", filepath.Join(dir, "data"), "--scratch", dir}, args...)
	c, err := startAgent(ctx, args...)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p := &privateAgent{child: c, client: newClient(socket, a.timeout), dir: dir}
	p.client.private = true
	fmt.Fprintln(a.err, "skep: the private agent is ready")
	return p, nil
}

func (p *privateAgent) stop() error {
	p.client.close()
	return errors.Join(p.child.stop(agentStop), os.RemoveAll(p.dir))
}

// startAgent runs skepd and returns once it is ready. On --ready-fd skepd
// writes one byte when its API answers (and closes it, unless the byte is
// below ' '); more is the sentence that says why it cannot run.
func startAgent(ctx context.Context, args ...string) (*child, error) {
	path, err := sibling("skepd")
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	defer r.Close()
	args = append([]string{"run", "--ready-fd", "3"}, args...)
	c, err := startChild(childOptions{name: "the agent (skepd)", path: path, args: args, extra: []*os.File{w}})
	w.Close()
	if err != nil {
		return nil, err
	}
	if err := awaitReady(ctx, c, r); err != nil {
		return nil, err
	}
	return c, nil
}

func awaitReady(ctx context.Context, c *child, r *os.File) error {
	answer := make(chan string, 1)
	go func() { answer <- readReady(r) }()
	select {
	case said := <-answer:
		if said == "" {
			return nil
		}
		return startFailed(c, said)
	case <-ctx.Done():
		return errors.Join(ctx.Err(), c.stop(agentStop))
	case <-time.After(agentStart):
		return errors.Join(fmt.Errorf("start the agent: not ready after %v%s", agentStart, c.log.quote()), c.stop(agentStop))
	}
}

// readReady returns "" when the agent is ready, or why it is not.
func readReady(r io.Reader) string {
	first := make([]byte, 1)
	if _, err := io.ReadFull(r, first); err != nil {
		return "it ended before it was ready"
	}
	if first[0] < ' ' {
		return ""
	}
	rest, _ := io.ReadAll(io.LimitReader(r, 4<<10)) // what came before an error is still the reason
	if len(rest) == 0 {
		return ""
	}
	return strings.TrimSpace(string(first) + string(rest))
}

func startFailed(c *child, why string) error {
	select {
	case <-c.done:
	case <-time.After(agentStop):
		_ = c.stop(agentStop) // the reason it gave matters more than how it ends
	}
	if len(c.log.lines(1)) > 0 && why == "it ended before it was ready" {
		why += c.log.quote()
	}
	return fmt.Errorf("start the agent: %s", strings.TrimPrefix(why, "start agent: ")) // as some of skepd's reasons begin
}
