// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// preamble is the first line of the far end. What else comes first (a greeting
// of the login shell, a forced command) is not skep, and said so.
const preamble = "skep stdio 1\n"

// Relay is the far end: it says that it is there, and copies between a
// connection to the agent and the standard streams until one of the two ends.
// It closes the connection.
func Relay(agent net.Conn, in io.Reader, out io.Writer) error {
	defer agent.Close()
	if _, err := io.WriteString(out, preamble); err != nil {
		return fmt.Errorf("greet the other end: %w", err)
	}
	ended := make(chan error, 2)
	go func() {
		_, err := io.Copy(agent, in)
		ended <- err
	}()
	go func() {
		_, err := io.Copy(out, agent)
		ended <- err
	}()
	// HTTP/2 has no use for half a connection: when one way has ended, nobody
	// waits for the other.
	if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("relay to the agent: %w", err)
	}
	return nil
}

// awaitPreamble reads it and not a byte more, or fails with *notSkep.
func awaitPreamble(r io.Reader) error {
	said := make([]byte, len(preamble))
	for n := range said {
		if _, err := io.ReadFull(r, said[n:n+1]); err != nil {
			if n > 0 && err == io.EOF {
				return &notSkep{string(said[:n])}
			}
			return err
		}
		if said[n] != preamble[n] {
			return &notSkep{string(said[:n+1])}
		}
	}
	return nil
}

// notSkep is somebody else's answer.
type notSkep struct{ said string }

func (e *notSkep) Error() string {
	return fmt.Sprintf("something else than skep answered: %s; does the shell there print something at login, or is another command forced?",
		strconv.Quote(e.said[:min(len(e.said), 60)]))
}
