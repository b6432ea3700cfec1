// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/skep-io/skep/internal/web"
)

const serveLong = `Serve the web page. It needs no privilege: run it as an unprivileged user. The
page shows nothing without a token, which "skep token --url" makes; what the
page may do is what that token's user may do.

It listens on a loopback address, and in clear text. To reach it from
elsewhere use a tunnel (ssh -L 7537:127.0.0.1:7537 HOST), or put a proxy with
TLS in front and name its host with --host.

Exit status: 0 when ended by Ctrl-C or SIGTERM. Others as in "skep --help".`

const serveExample = `  # The page for this user, and a link to it
  skep serve &
  skep token --url

  # Behind a proxy that serves https://skep.example.org
  skep serve --host skep.example.org`

func (a *app) serveCmd() *cobra.Command {
	var o web.Options
	var readyFD int
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Serve the web page",
		Long:    serveLong,
		Example: serveExample,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Socket = a.socket
			o.Logger = slog.New(slog.NewTextHandler(a.err, nil))
			o.Ready = func(addr net.Addr) {
				fmt.Fprintf(a.err, "skep: serving http://%s/ for the agent at %s; \"skep token --url\" makes a link\n", addr, a.socket)
				tellReady(readyFD, addr)
			}
			return web.Serve(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Listen, "listen", defaultListen, "address and port to listen on; a loopback address unless --allow-remote")
	flags.BoolVar(&o.AllowRemote, "allow-remote", false, "permit listening on other addresses, in clear text")
	flags.StringSliceVar(&o.Hosts, "host", nil, "further host names, with an optional port, under which the page is reached")
	flags.IntVar(&readyFD, "ready-fd", -1, "write the address to this file descriptor once it listens")
	_ = flags.MarkHidden("ready-fd") // fails only for a flag that is not there
	return cmd
}

// tellReady writes the address for "skep up", which may have gone meanwhile.
func tellReady(fd int, addr net.Addr) {
	if fd < 0 {
		return
	}
	f := os.NewFile(uintptr(fd), "ready")
	_, _ = fmt.Fprintln(f, addr)
	_ = f.Close()
}
