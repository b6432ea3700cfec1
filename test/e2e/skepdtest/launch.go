// SPDX-License-Identifier: Apache-2.0

package skepdtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"connectrpc.com/connect"

	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
)

// Launch starts a skepd, of which c is the command line but for --ready-fd, and returns
// once it answers. One that does not get ready is ended, and the error is what it says.
// Unless c decides otherwise, it gets SIGTERM when the caller dies.
func Launch(c *exec.Cmd) error {
	ready, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start skepd: %w", err)
	}
	defer ready.Close()
	c.ExtraFiles = append(c.ExtraFiles, write)
	c.Args = append(c.Args, "--ready-fd", strconv.Itoa(2+len(c.ExtraFiles)))
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	}
	err = c.Start()
	write.Close()
	if err != nil {
		return fmt.Errorf("start skepd: %w", err)
	}
	_ = ready.SetReadDeadline(time.Now().Add(3 * Patience)) // in an emulator, beside a crowd
	answer, err := io.ReadAll(ready)
	if err == nil && bytes.Equal(answer, []byte{1}) {
		return nil
	}
	_ = c.Process.Kill()
	return fmt.Errorf("start skepd: it did not get ready: %q: %w", answer, errors.Join(err, c.Wait()))
}

// Connect makes a client of the agent behind a unix socket. The transport is the
// client's own.
func Connect(socket string) (skepv1connect.AgentServiceClient, *http.Transport) {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		Protocols: new(http.Protocols),
		HTTP2:     &http.HTTP2Config{MaxReadFrameSize: 256 << 10}, // as skep's own client
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return skepv1connect.NewAgentServiceClient(&http.Client{Transport: transport}, "http://skepd",
		connect.WithAcceptCompression("gzip", nil, nil)), transport
}
