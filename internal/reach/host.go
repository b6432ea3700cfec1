// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MaxHosts bounds how many hosts are asked at once: each is a process here.
const MaxHosts = 256

// maxList bounds what is read of a list of hosts, in bytes.
const maxList = 1 << 20

// Host is where an agent is, as ssh takes it: Name may be an alias of ssh's
// configuration. User and Port are empty where ssh is to decide.
type Host struct{ User, Name, Port string }

// These keep a host from being anything else: an option (no leading dash), or
// words for the shell of somebody's ProxyCommand, in which ssh puts them.
var (
	hostNames = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$`)
	userNames = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)
	zones     = regexp.MustCompile(`^[A-Za-z0-9._-]{0,15}$`)
)

// Parse reads ssh://[user@]host[:port]. The error says what is wrong with it.
func Parse(s string) (Host, error) {
	if !strings.Contains(s, "://") {
		return Host{}, fmt.Errorf("%q: must be ssh://[USER@]HOST[:PORT], such as ssh://%s", s, "web-1")
	}
	u, err := url.Parse(s)
	if err != nil {
		return Host{}, fmt.Errorf("%q: not a URL such as ssh://web-1", s)
	}
	_, password := u.User.Password()
	h := Host{User: u.User.Username(), Name: u.Hostname(), Port: u.Port()}
	switch {
	case u.Scheme != "ssh":
		return Host{}, fmt.Errorf("%q: agents are reached by ssh only: ssh://[USER@]HOST[:PORT]", s)
	case password:
		return Host{}, fmt.Errorf("ssh://…@%s: a password does not belong here, and ssh would not take it; use a key", h.Name)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "":
		return Host{}, fmt.Errorf("%q: nothing may follow ssh://[USER@]HOST[:PORT]", s)
	}
	if err := h.check(); err != nil {
		return Host{}, fmt.Errorf("%q: %w", s, err)
	}
	return h, nil
}

func (h Host) check() error {
	switch {
	case !isHost(h.Name):
		return fmt.Errorf("%q is not the name or address of a host", h.Name)
	case h.User != "" && !userNames.MatchString(h.User):
		return fmt.Errorf("%q is not the name of a user", h.User)
	case h.Port != "":
		if port, err := strconv.ParseUint(h.Port, 10, 16); err != nil || port == 0 {
			return fmt.Errorf("port %q is not a number from 1 to 65535", h.Port)
		}
	}
	return nil
}

func isHost(name string) bool {
	if addr, err := netip.ParseAddr(name); err == nil {
		return zones.MatchString(addr.Zone())
	}
	return hostNames.MatchString(name)
}

// String is the host without ssh://, as output is marked with it.
func (h Host) String() string {
	s := h.Name
	if strings.Contains(s, ":") {
		s = "[" + s + "]"
	}
	if h.Port != "" {
		s = net.JoinHostPort(h.Name, h.Port)
	}
	if h.User != "" {
		s = h.User + "@" + s
	}
	return s
}

// ParseAll reads hosts and lists of hosts: @FILE has one a line; "#" begins a
// comment. A host that is there twice counts once. The error names the file
// and the line.
func ParseAll(specs []string) ([]Host, error) {
	var hosts []Host
	for _, spec := range specs {
		more, err := parseSpec(spec)
		if err != nil {
			return nil, err
		}
		for _, h := range more {
			if !slices.Contains(hosts, h) {
				hosts = append(hosts, h)
			}
		}
	}
	if len(hosts) > MaxHosts {
		return nil, fmt.Errorf("%d hosts: at most %d can be asked at once; make several lists of them", len(hosts), MaxHosts)
	}
	return hosts, nil
}

func parseSpec(spec string) ([]Host, error) {
	file, ok := strings.CutPrefix(spec, "@")
	if !ok {
		h, err := Parse(spec)
		return []Host{h}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the list of hosts: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxList+1))
	if err != nil {
		return nil, fmt.Errorf("read the list of hosts: %w", err)
	}
	hosts, err := parseList(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return hosts, nil
}

// parseList reads the text of a list of hosts.
func parseList(text string) ([]Host, error) {
	if len(text) > maxList {
		return nil, fmt.Errorf("larger than %d bytes: is it a list of hosts?", maxList)
	}
	var hosts []Host
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		h, err := Parse(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		hosts = append(hosts, h)
	}
	if len(hosts) == 0 {
		return nil, fmt.Errorf("no host in it")
	}
	return hosts, nil
}
