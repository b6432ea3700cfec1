// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

type connectionFlags struct {
	filterFlags
	closed bool
	limit  uint32
	output string
}

const connectionsLong = `Show the agent's table of TCP connections, listening sockets and UDP flows: who
talks to whom, how much, how fast and, with --closed, how it ended. The newest
comes first. SENT and RECEIVED are payload bytes, SEGMENTS those sent and
received (of UDP datagrams), RTT the smoothed round-trip time, RETR how many
segments were sent again; of open connections as they were at most a second ago
(of UDP flows five), "-" where this is not known ("skep doctor" says when). PEER
is the process at the other end where that is on this host.

` + filterHelp + `

Lines fit the terminal; in a pipe nothing is cut off. With -o json one object
per line. Exit status as in "skep --help".`

const connectionsExample = `  # Everything open
  skep connections

  # Who talks to the database, also what has closed
  skep conns --port 5432 --closed

  # Listening sockets
  skep conns --where 'connection.direction == "listen"'`

func (a *app) connectionsCmd() *cobra.Command {
	var f connectionFlags
	cmd := &cobra.Command{
		Use:         "connections",
		Annotations: asksMany,
		Aliases:     []string{"conns"},
		Short:       "Show the TCP connections and who owns them",
		Long:        connectionsLong,
		Example:     connectionsExample,
		Args:        noArgs,
		PreRunE:     func(*cobra.Command, []string) error { return checkOutput(f.output, "table", "json") },
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		filter, err := f.filter(a)
		if err != nil {
			return err
		}
		req := &skepv1.ListConnectionsRequest{Filter: filter, Closed: f.closed, Limit: f.limit}
		return a.withAgent(func(ctx context.Context, a *app, c *client, _ []string) error {
			return a.listConnections(ctx, c, req, f.output)
		})(cmd, args)
	}
	f.register(cmd)
	f.registerAddresses(cmd)
	cmd.Flags().BoolVar(&f.closed, "closed", false, "also connections that have closed and are still remembered")
	cmd.Flags().Uint32VarP(&f.limit, "limit", "n", 0, "at most `N` connections (0: all)")
	outputFlag(cmd, &f.output, "table", "table", "json")
	return cmd
}

func (a *app) listConnections(ctx context.Context, c *client, req *skepv1.ListConnectionsRequest, output string) error {
	got, err := c.ListConnections(ctx, req)
	if err != nil {
		return err
	}
	if err := a.warnUndecided(got.GetUndecided(), len(got.GetConnections())); err != nil {
		return err
	}
	if output == "json" {
		return printJSON(a, got.GetConnections()...)
	}
	return a.print(string(a.connectionTable(got.GetConnections(), time.Now()).render(nil, a.screen, a.width())))
}

func (a *app) connectionTable(conns []*skepv1.ConnectionInfo, now time.Time) *table {
	t := &table{columns: []column{{title: "STATE"}, {title: "PROCESS", max: 24}, {title: "CONTAINER", max: 16},
		{title: "LOCAL", max: 28}, {title: " "}, {title: "REMOTE", max: 28}, {title: "AGE", right: true},
		{title: "SENT", right: true}, {title: "RECEIVED", right: true}, {title: "SEGMENTS", right: true}, {title: "RTT", right: true},
		{title: "RETR", right: true}, {title: "PEER"}}}
	e := newEssence(a.screen)
	for _, c := range conns {
		t.add(e.connectionRow(c, now)...)
	}
	return t
}

func (e essence) connectionRow(i *skepv1.ConnectionInfo, now time.Time) []cell {
	c, p := i.GetConnection(), i.GetProcess()
	remote, arrow := namedEndpoint(c), e.to[1:len(e.to)-1]
	switch c.GetDirection() {
	case "listen":
		remote, arrow = "", ""
	case "inbound":
		arrow = e.from[1 : len(e.from)-1]
	}
	row := []cell{stateCell(i), text(who(p.GetComm(), p.GetPid())), painted(cyan, dash(containerName(p.GetContainer()))),
		text(endpoint(c.GetLocal())), text(arrow), text(remote), text(connectionAge(i, now))}
	return append(append(row, trafficCells(i)...), text(peerName(c.GetPeer())))
}

// trafficCells is what the connection has carried: bytes, segments, RTT, retransmits.
func trafficCells(i *skepv1.ConnectionInfo) []cell {
	unknown, c := text("-"), i.GetConnection()
	if i.GetCounted() == nil {
		return []cell{unknown, unknown, unknown, unknown, unknown}
	}
	rtt := unknown
	if c.GetRttUs() > 0 {
		rtt = text(formatDuration(time.Duration(c.GetRttUs()) * time.Microsecond))
	}
	sent, received := uint64(c.GetSegmentsSent())+c.GetPacketsSent(), uint64(c.GetSegmentsReceived())+c.GetPacketsReceived() // TCP has one, UDP the other
	segments := strconv.FormatUint(sent, 10) + "/" + strconv.FormatUint(received, 10)
	return []cell{text(formatBytes(c.GetBytesSent())), text(formatBytes(c.GetBytesReceived())), text(segments), rtt,
		text(strconv.FormatUint(uint64(c.GetRetransmits()), 10))}
}

// namedEndpoint is the remote end by its name, if it has one: an address and a long name
// do not both fit a column, and -o json has both.
func namedEndpoint(c *skepv1.Connection) string {
	if name := c.GetRemoteName(); name != "" {
		return event.Printable(name) + ":" + strconv.FormatUint(uint64(c.GetRemote().GetPort()), 10)
	}
	return endpoint(c.GetRemote())
}

func stateCell(i *skepv1.ConnectionInfo) cell {
	state := event.Printable(i.GetState())
	switch i.GetState() {
	case "ESTABLISHED":
		return painted(green, state)
	case "FAILED":
		if name := i.GetConnection().GetErrorName(); name != "" {
			state = event.Printable(name)
		}
		return painted(red, state)
	case "CLOSED":
		if reason := i.GetConnection().GetCloseReason(); reason != "" {
			state += " " + event.Printable(reason)
		}
		return painted(dim, state)
	}
	return text(state)
}

func connectionAge(i *skepv1.ConnectionInfo, now time.Time) string {
	if i.GetOpened() == nil {
		return "-"
	}
	if i.GetClosed() != nil {
		now = i.GetClosed().AsTime()
	}
	return formatAge(now.Sub(i.GetOpened().AsTime()))
}

func who(comm string, pid uint32) string {
	if pid == 0 && comm == "" {
		return "-"
	}
	return event.Printable(comm) + "[" + strconv.FormatUint(uint64(pid), 10) + "]"
}

func peerName(p *skepv1.Peer) string {
	name := who(p.GetComm(), p.GetPid())
	if id := p.GetContainerId(); id != "" {
		name += " " + event.Printable(shortID(id))
	}
	return name
}

// summary is a connection in one line, for below its process.
func (e essence) summary(i *skepv1.ConnectionInfo) string {
	c := i.GetConnection()
	line := event.Printable(i.GetState()) + " " + endpoint(c.GetLocal())
	if c.GetDirection() == "listen" {
		return line
	}
	line += e.arrow(c) + endpoint(c.GetRemote())
	if name := c.GetRemoteName(); name != "" {
		line += " " + event.Printable(name)
	}
	if p := c.GetPeer(); p.GetPid() != 0 {
		line += " (" + peerName(p) + ")"
	}
	if i.GetCounted() != nil {
		line += " " + e.up + formatBytes(c.GetBytesSent()) + " " + e.down + formatBytes(c.GetBytesReceived())
	}
	if c.GetErrorName() != "" {
		line += " " + event.Printable(c.GetErrorName())
	}
	return line
}
