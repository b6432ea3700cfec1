// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"errors"
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

// DefaultPort is that of an agent which listens on TCP.
const DefaultPort = "7539"

// Host is where an agent is. By ssh, Name may be an alias of ssh's configuration,
// and User and Port are empty where ssh is to decide. With TLS there is no User.
type Host struct {
	User, Name, Port string
	TLS              bool
}

// These keep a host from being anything else: an option (no leading dash), or
// words for the shell of somebody's ProxyCommand, in which ssh puts them. Their lengths are
// compared apart: {0,252} would be a program of 252 steps, which every start of skep had to compile.
var (
	names = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`) // of hosts and users
	zones = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)
)

const (
	maxHostName = 253 // RFC 1035, without the final dot
	maxUserName = 64
	maxZone     = 15 // IFNAMSIZ less the final NUL
)

// Parse reads ssh://[user@]host[:port] or https://host[:port]. The error says what
// is wrong with it.
func Parse(s string) (Host, error) {
	h, err := parse(s)
	if err == nil {
		err = h.check()
	}
	if err != nil {
		return Host{}, fmt.Errorf("%q: %w", withoutUser(s), err)
	}
	return h, nil
}

// withoutUser leaves out where somebody may have put a password.
func withoutUser(s string) string {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		return "…" + s[at:]
	}
	return s
}

func parse(s string) (Host, error) {
	if !strings.Contains(s, "://") {
		return Host{}, errors.New("must be ssh://[USER@]HOST[:PORT], such as ssh://web-1, or https://HOST[:PORT]")
	}
	u, err := url.Parse(s)
	if err != nil {
		return Host{}, errors.New("not a URL such as ssh://web-1")
	}
	_, password := u.User.Password()
	h := Host{User: u.User.Username(), Name: u.Hostname(), Port: u.Port(), TLS: u.Scheme == "https"}
	switch {
	case u.Scheme != "ssh" && u.Scheme != "https":
		return Host{}, errors.New("agents are reached by ssh://[USER@]HOST[:PORT] or https://HOST[:PORT]")
	case password:
		return Host{}, errors.New("a password does not belong here, and is not used; use a key")
	case h.TLS && u.User != nil:
		return Host{}, errors.New("with https the certificate says who you are")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "":
		return Host{}, fmt.Errorf("nothing may follow %s://HOST[:PORT]", u.Scheme)
	}
	return h, nil
}

func (h Host) check() error {
	switch {
	case !isHost(h.Name):
		return fmt.Errorf("%q is not the name or address of a host", h.Name)
	case h.User != "" && (len(h.User) > maxUserName || !names.MatchString(h.User)):
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
		return len(addr.Zone()) <= maxZone && zones.MatchString(addr.Zone())
	}
	return len(name) <= maxHostName && names.MatchString(name)
}

// String is the host as output is marked with it: without ssh://.
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
	if h.TLS {
		s = "https://" + s
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
		return nil, errors.New("no host in it")
	}
	return hosts, nil
}
