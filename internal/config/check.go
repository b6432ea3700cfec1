// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSocketPath is sizeof(sockaddr_un.sun_path) less the final NUL, see unix(7).
const maxSocketPath = 107

// check applies the rules that are not a matter of type, to values that are what the file
// says: another one's fault has been told. The message after the path says what is allowed.
func (d *decoder) check(c *Config) {
	rules := []struct {
		path string
		err  error
	}{
		{"node_name", hostName(c.NodeName)},
		{"cluster", hostName(c.Cluster)},
		{"socket", socketPath(c.Socket)},
		{"listen", listener(c.Listen)},
		{"listen.cert", optional(c.Listen.Cert, absolute)},
		{"listen.key", optional(c.Listen.Key, absolute)},
		{"listen.client_ca", optional(c.Listen.ClientCA, absolute)},
		{"listen.users", each(c.Listen.Users, accountName)},
		{"data_dir", absolute(c.DataDir)},
		{"bpffs", absolute(c.BPFFS)},
		{"metrics.listen", optional(c.Metrics.Listen, listenAddress)},
		{"log.level", oneOf(c.Log.Level, "debug", "info", "warn", "error")},
		{"log.format", oneOf(c.Log.Format, "text", "json")},
		{"history.max_bytes", between(c.History.MaxBytes, 1<<20, 4<<30)},
		{"store.dir", optional(c.Store.Dir, absolute)},
		{"store.max_bytes", between(c.Store.MaxBytes, 16<<20, 1<<50)},
		{"store.max_age", between(c.Store.MaxAge, time.Hour, 10*365*24*time.Hour)},
		{"rings.critical_bytes", ringSize(c.Rings.CriticalBytes)},
		{"rings.telemetry_bytes", ringSize(c.Rings.TelemetryBytes)},
		{"tables.processes", between(c.Tables.Processes, 1024, 4<<20)},
		{"tables.connections", between(c.Tables.Connections, 1024, 4<<20)},
		{"tables.exited_processes", between(c.Tables.ExitedProcesses, 0, 1<<20)},
		{"sensors.dns.ports", serverPorts(c.Sensors.DNS.Ports)},
		{"sensors.files.paths", watchedPaths(c.Sensors.Files.Paths)},
		{"limits.cpu", cpuLimit(c.Limits.CPU)},
		{"limits.memory", memoryLimit(c.Limits.Memory)},
		{"sensors.host.calls", hostCalls(c.Sensors.Host.Calls)},
		{"containers.sockets", each(c.Containers.Sockets, socketPath)},
		{"redact.names", atMost(len(c.Redact.Names), 256)},
		{"redact.args", atMost(len(c.Redact.Args), 256)},
		{"redact", redactRules(c.Redact)},
		{"roles.view_group", optional(c.Roles.ViewGroup, nameOrID)},
		{"roles.operate_group", optional(c.Roles.OperateGroup, nameOrID)},
		{"roles.web_user", optional(c.Roles.WebUser, nameOrID)},
		{"audit.path", optional(c.Audit.Path, absolute)},
	}
	for _, name := range slices.Sorted(maps.Keys(c.Ship)) {
		d.checkOutput("ship."+name, c.Ship[name])
	}
	for _, r := range rules {
		if r.err != nil && d.whole(r.path) {
			d.fault(d.at[r.path], "%s %s", r.path, r.err)
		}
	}
}

func between[T cmp.Ordered](v, low, high T) error {
	if v < low || v > high {
		return fmt.Errorf("must be from %v to %v, not %v", low, high, v)
	}
	return nil
}

func atMost(n, limit int) error {
	if n > limit {
		return fmt.Errorf("has %d items, the limit is %d", n, limit)
	}
	return nil
}

func redactRules(r Redact) error {
	_, err := r.Rules()
	return err
}

func oneOf(v string, allowed ...string) error {
	if !slices.Contains(allowed, v) {
		return fmt.Errorf("must be one of %s, not %q", strings.Join(allowed, ", "), v)
	}
	return nil
}

// ringSize: the kernel takes ring sizes that are powers of two and whole pages.
func ringSize(s Size) error {
	if err := between(s, 64<<10, 1<<30); err != nil {
		return err
	}
	if s&(s-1) != 0 || int(s)%os.Getpagesize() != 0 {
		return fmt.Errorf("must be a power of two and a multiple of the page size (%d), not %v", os.Getpagesize(), s)
	}
	return nil
}

// maxDNSPorts is how many the kernel side compares a packet with.
const maxDNSPorts = 4

func serverPorts(ports []int) error {
	if len(ports) < 1 || len(ports) > maxDNSPorts {
		return fmt.Errorf("must be a list of 1 to %d ports; set sensors.dns.enabled to false for none", maxDNSPorts)
	}
	for _, p := range ports {
		if err := between(p, 1, 65535); err != nil {
			return err
		}
	}
	return nil
}

// What the kernel side takes: see internal/sensor/files.
const (
	maxWatched     = 64
	maxWatchedPath = 255
)

func watchedPaths(paths []string) error {
	if err := atMost(len(paths), maxWatched); err != nil {
		return err
	}
	seen := map[string]bool{}
	return each(paths, func(path string) error {
		switch {
		case absolute(path) != nil:
			return absolute(path)
		case filepath.Clean(path) != path:
			return fmt.Errorf("must be written %q, not %q", filepath.Clean(path), path)
		case len(path) > maxWatchedPath:
			return fmt.Errorf("must have at most %d bytes; it has %d", maxWatchedPath, len(path))
		case seen[path]:
			return fmt.Errorf("is there twice: %q", path)
		}
		seen[path] = true
		return nil
	})
}

func hostCalls(calls []string) error {
	seen := map[string]bool{}
	return each(calls, func(call string) error {
		switch {
		case !slices.Contains(HostCalls, call):
			return fmt.Errorf("is unknown: %q; %s", call, strings.Replace(suggest(call, HostCalls), "the keys here are", "there are", 1))
		case seen[call]:
			return fmt.Errorf("is there twice: %q", call)
		}
		seen[call] = true
		return nil
	})
}

func absolute(path string) error {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return fmt.Errorf("must be an absolute path, not %q", path)
	}
	return nil
}

func socketPath(path string) error {
	if err := absolute(path); err != nil {
		return err
	}
	if len(path) > maxSocketPath {
		return fmt.Errorf("must have at most %d bytes, as any unix socket's path; it has %d", maxSocketPath, len(path))
	}
	return nil
}

// listener: there is no half of it. Without certificates on both sides anybody
// on the network could ask.
func listener(l Listen) error {
	if l.Address == "" {
		return nil
	}
	if err := listenAddress(l.Address); err != nil {
		return fmt.Errorf("address %w", err)
	}
	if l.Cert == "" || l.Key == "" || l.ClientCA == "" || len(l.Users) == 0 {
		return errors.New("with an address needs cert, key, client_ca and users: the agent listens on TCP only with certificates on both sides")
	}
	return nil
}

func listenAddress(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || strings.ContainsAny(host, " /") {
		return fmt.Errorf("must be an address and port such as 127.0.0.1:7538, not %q", addr)
	}
	return nil
}

// Lengths are compared apart: {0,253} would be a program of 253 steps, which every start of
// skep had to compile.
var (
	hostNames    = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)
	accountNames = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
)

func hostName(s string) error {
	if len(s) > 253 || !hostNames.MatchString(s) {
		return fmt.Errorf("must have at most 253 letters, digits, dots, dashes or underscores, not %q", s)
	}
	return nil
}

func accountName(s string) error {
	if len(s) > 32 || !accountNames.MatchString(s) {
		return fmt.Errorf("must be the name of a user or group, not %q", s)
	}
	return nil
}

func nameOrID(s string) error {
	if _, err := strconv.ParseUint(s, 10, 32); err == nil {
		return nil
	}
	return accountName(s)
}

func optional(s string, rule func(string) error) error {
	if s == "" {
		return nil
	}
	return rule(s)
}

func each(list []string, rule func(string) error) error {
	for i, s := range list {
		if err := rule(s); err != nil {
			return fmt.Errorf("item %d %w", i+1, err)
		}
	}
	return nil
}
