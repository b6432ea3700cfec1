// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/skep-io/skep/internal/reach"
)

const stdioLong = `Connect the standard input and output to the agent's socket. "skep -H" runs this
on the other host, through ssh; the agent there sees who logged in, and gives that
user's role. In authorized_keys, command="skep stdio" lets a key do nothing else.

Exit status: 0 when either side has ended, 3 when no agent answers, 4 when the
socket may not be opened. Others as in "skep --help".`

func (a *app) stdioCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "stdio",
		Short:  "Connect standard input and output to the agent, for skep -H",
		Long:   stdioLong,
		Hidden: true,
		Args:   noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dialer := net.Dialer{Timeout: 5 * time.Second}
			conn, err := dialer.DialContext(cmd.Context(), "unix", a.socket)
			if err != nil {
				a.socketSet = true // nobody there could type "sudo"
				return a.explainAbsent(err)
			}
			return reach.Relay(conn, os.Stdin, a.out)
		},
	}
}
