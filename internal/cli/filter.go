// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"net/netip"
	"os/user"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// filterFlags are the flags that select records, processes and connections.
// The agent does the filtering.
type filterFlags struct {
	kinds, pids, uids, containers, addrs, ports []string
	exes, comms, ancestors, paths               []string
	where                                       string
}

// filterHelp is the part of a command's help that all filters share.
const filterHelp = `Filters are ANDed; the values of one flag are ORed. A flag may be repeated and,
except for paths and names, take several values separated by commas. An
executable is an absolute path, a prefix that ends in "/", or a base name.`

func (f *filterFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.pids, "pid", nil, "process ids in the initial pid namespace")
	flags.StringArrayVar(&f.exes, "exe", nil, "executable: a path, a prefix ending in \"/\", or a base name")
	flags.StringArrayVar(&f.comms, "comm", nil, "kernel command name")
	flags.StringSliceVar(&f.uids, "uid", nil, "effective user ids or names")
	flags.StringSliceVar(&f.containers, "container", nil, "container: its name, or 12 or more characters of its id")
	flags.StringArrayVar(&f.ancestors, "ancestor-exe", nil, "executable of any ancestor, as --exe")
	for _, name := range []string{"exe", "ancestor-exe"} {
		_ = cmd.MarkFlagFilename(name) // fails only for a flag that is not there
	}
	flags.StringVar(&f.where, "where", "", "CEL expression over the JSON field names, such as 'process.uid == 0'")
}

func (f *filterFlags) registerAddresses(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.addrs, "addr", nil, "address or prefix (10.0.0.0/8) of either end")
	cmd.Flags().StringSliceVar(&f.ports, "port", nil, "port of either end")
}

func (f *filterFlags) registerPaths(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.paths, "path", nil, "path of a file operation or a unix socket: that one, and what is below it")
	_ = cmd.MarkFlagFilename("path") // fails only for a flag that is not there
}

func (f *filterFlags) registerKinds(cmd *cobra.Command) {
	cmd.Flags().StringSliceVarP(&f.kinds, "kind", "k", nil, "kinds of records: fork, exec, exit, oom, connect, accept, close, listen, dns, loss, agent, file, udp, unix, host")
	_ = cmd.RegisterFlagCompletionFunc("kind", completeList(kindNames())) // fails only for a flag that is not there
}

func kindNames() []string {
	var names []string
	for _, k := range event.Kinds() {
		names = append(names, k.String())
	}
	return names
}

// filter checks what can be checked here, so that the error names the flag.
func (f *filterFlags) filter(a *app) (*skepv1.Filter, error) {
	out := &skepv1.Filter{Kinds: f.kinds, Exes: f.exes, Comms: f.comms, Containers: f.containers,
		AncestorExes: f.ancestors, Addrs: f.addrs, Paths: f.paths, Where: f.where}
	for _, k := range f.kinds {
		if _, err := event.ParseKind(k); err != nil {
			return nil, usage("--kind: %w", err)
		}
	}
	for _, s := range f.addrs {
		if !isAddress(s) {
			return nil, usage("--addr %q: not an address such as 10.1.2.3 or a prefix such as 10.0.0.0/8", s)
		}
	}
	for _, s := range f.paths {
		if !strings.HasPrefix(s, "/") {
			return nil, usage("--path %q: not an absolute path", s)
		}
	}
	var err error
	if out.Pids, err = numbers("pid", f.pids, 32); err != nil {
		return nil, err
	}
	if out.Ports, err = numbers("port", f.ports, 16); err != nil {
		return nil, err
	}
	out.Uids, err = userIDs(f.uids, len(a.hosts) > 0)
	return out, err
}

func (f *filterFlags) empty() bool {
	return len(f.kinds)+len(f.pids)+len(f.uids)+len(f.containers)+len(f.addrs)+len(f.ports)+
		len(f.exes)+len(f.comms)+len(f.ancestors)+len(f.paths)+len(f.where) == 0
}

func isAddress(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(s)
	return err == nil
}

func numbers(flag string, values []string, bits int) ([]uint32, error) {
	var out []uint32
	for _, s := range values {
		n, err := strconv.ParseUint(s, 10, bits)
		if err != nil {
			return nil, usage("--%s %q: not a number from 0 to %d", flag, s, uint64(1)<<bits-1)
		}
		out = append(out, uint32(n))
	}
	return out, nil
}

// userIDs knows the names of this host; only root is the same on another.
func userIDs(values []string, elsewhere bool) ([]uint32, error) {
	var out []uint32
	for _, s := range values {
		if elsewhere && s == "root" {
			s = "0"
		}
		if _, err := strconv.ParseUint(s, 10, 32); err != nil {
			if elsewhere {
				return nil, usage("--uid %q: with -H it must be a number: each host has names of its own", s)
			}
			u, err := user.Lookup(s)
			if err != nil {
				return nil, usage("--uid %q: neither a number nor a user of this host", s)
			}
			s = u.Uid
		}
		n, err := numbers("uid", []string{s}, 32)
		if err != nil {
			return nil, err
		}
		out = append(out, n...)
	}
	return out, nil
}

// userNames turns user ids into names and remembers them. nil knows only root.
type userNames map[uint32]string

func (u userNames) name(uid uint32) string {
	if name, ok := u[uid]; ok {
		return name
	}
	id := strconv.FormatUint(uint64(uid), 10)
	if u == nil {
		if uid == 0 {
			return "root"
		}
		return id
	}
	name := id
	if found, err := user.LookupId(id); err == nil && found.Username != "" {
		name = event.Printable(found.Username)
	}
	u[uid] = name
	return name
}

// of is the name that a process's user has. In a container the host's names
// mean nothing.
func (u userNames) of(p *skepv1.Process) string {
	if p.GetContainer().GetId() != "" && p.GetUid() != 0 {
		return strconv.FormatUint(uint64(p.GetUid()), 10)
	}
	return u.name(p.GetUid())
}
