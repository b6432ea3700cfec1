// SPDX-License-Identifier: Apache-2.0

// Package config reads skep.yaml, the configuration of the agent.
//
// Problem: a misspelt key in a security agent's configuration must not be
// ignored silently. Mechanism: the YAML tree is walked against the Config
// type, so that every complaint has a line and a column. Invariant: whatever
// Load returns without an error has passed every rule in check.go.
package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/redact"
)

// DefaultPath is where skepd looks for its configuration.
const DefaultPath = "/etc/skep/skep.yaml"

// maxFile bounds what is read: a configuration is a page, not a disk image.
const maxFile = 1 << 20

// Config is the whole of skep.yaml. DefaultYAML documents each key.
type Config struct {
	NodeName   string     `yaml:"node_name"`
	Cluster    string     `yaml:"cluster"`
	Socket     string     `yaml:"socket"`
	Listen     Listen     `yaml:"listen"`
	DataDir    string     `yaml:"data_dir"`
	BPFFS      string     `yaml:"bpffs"`
	Metrics    Metrics    `yaml:"metrics"`
	Log        Log        `yaml:"log"`
	History    History    `yaml:"history"`
	Store      Store      `yaml:"store"`
	Rings      Rings      `yaml:"rings"`
	Tables     Tables     `yaml:"tables"`
	Sensors    Sensors    `yaml:"sensors"`
	Limits     Limits     `yaml:"limits"`
	Containers Containers `yaml:"containers"`
	Redact     Redact     `yaml:"redact"`
	// Ship has the outputs by their names.
	Ship  map[string]Output `yaml:"ship"`
	Roles Roles             `yaml:"roles"`
	Audit Audit             `yaml:"audit"`
}

// Metrics is the Prometheus listener; an empty Listen is none.
type Metrics struct {
	Listen string `yaml:"listen"`
}

// Listen is the API over TCP; an empty Address is none.
type Listen struct {
	Address  string   `yaml:"address"`
	Cert     string   `yaml:"cert"`
	Key      string   `yaml:"key"`
	ClientCA string   `yaml:"client_ca"`
	Users    []string `yaml:"users"`
}

// Log is the agent's own log: Level as in slog, Format text or json.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// History is the recent past that the agent keeps in memory.
type History struct {
	MaxBytes Size `yaml:"max_bytes"`
}

// Store is the disk log; an empty Dir is "store" in the data directory.
type Store struct {
	Enabled  bool          `yaml:"enabled"`
	Dir      string        `yaml:"dir"`
	MaxBytes Size          `yaml:"max_bytes"`
	MaxAge   time.Duration `yaml:"max_age"`
}

// Rings are the kernel ring buffers: powers of two and multiples of a page.
type Rings struct {
	CriticalBytes  Size `yaml:"critical_bytes"`
	TelemetryBytes Size `yaml:"telemetry_bytes"`
}

// Tables are the capacities of the tables, in entries.
type Tables struct {
	Processes       int `yaml:"processes"`
	Connections     int `yaml:"connections"`
	ExitedProcesses int `yaml:"exited_processes"`
}

// Sensors says which sensors run beside that of processes, on which all rest.
type Sensors struct {
	TCP   Sensor `yaml:"tcp"`
	DNS   DNS    `yaml:"dns"`
	Files Files  `yaml:"files"`
	UDP   Sensor `yaml:"udp"`
	Unix  Sensor `yaml:"unix"`
	Host  Host   `yaml:"host"`
}

// Sensor is one sensor's settings.
type Sensor struct {
	Enabled bool `yaml:"enabled"`
}

// DNS is the DNS sensor's settings: the ports that servers are asked at.
type DNS struct {
	Enabled bool  `yaml:"enabled"`
	Ports   []int `yaml:"ports"`
}

// Files is the file sensor's settings: what it watches. With no Paths it is off.
type Files struct {
	Paths []string `yaml:"paths"`
}

// Host is the settings of the sensor of calls that change the host: which groups of
// calls it follows, of HostCalls. With none it is off.
type Host struct {
	Calls []string `yaml:"calls"`
}

// HostCalls are the groups of calls that Host.Calls takes; "auto" stands for those that are
// rare, as far as they can be had at no cost to other calls.
var HostCalls = []string{"auto", "ptrace", "mount", "setns", "unshare", "module", "bpf", "setuid", "kill", "memfd", "capability"}

// Containers lists the runtime sockets to ask for names, images and labels, and the
// storage directories of podman and CRI-O to read them from.
type Containers struct {
	Sockets []string `yaml:"sockets"`
}

// Redact says what is a secret in a command line: see package redact.
type Redact struct {
	Defaults bool     `yaml:"defaults"`
	Names    []string `yaml:"names" secret:"true"`
	Args     []string `yaml:"args" secret:"true"`
}

// Rules compiles it. Whatever Load has returned compiles.
func (r Redact) Rules() (*redact.Rules, error) {
	return redact.Compile(redact.Options{Defaults: r.Defaults, Names: r.Names, Args: r.Args})
}

// Output is where records are sent on; just one of File, Syslog and OTLP is set.
type Output struct {
	Kinds      []string   `yaml:"kinds"`
	Exes       []string   `yaml:"exes"`
	Containers []string   `yaml:"containers"`
	Where      string     `yaml:"where"`
	File       ShipFile   `yaml:"file"`
	Syslog     ShipSyslog `yaml:"syslog"`
	OTLP       ShipOTLP   `yaml:"otlp"`
}

// ShipFile is a file of JSON lines that is rotated.
type ShipFile struct {
	Path     string `yaml:"path"`
	MaxBytes Size   `yaml:"max_bytes"`
	Keep     int    `yaml:"keep"`
}

// ShipSyslog is a receiver of syslog: unix, udp or tcp.
type ShipSyslog struct {
	Address  string `yaml:"address"`
	Facility string `yaml:"facility"`
}

// ShipOTLP is a receiver of OTLP over HTTP; metrics are pushed every Metrics, 0 for never.
type ShipOTLP struct {
	Endpoint string            `yaml:"endpoint"`
	Headers  map[string]string `yaml:"headers" secret:"true"`
	Metrics  time.Duration     `yaml:"metrics"`
}

// setDefaults implements defaulter.
func (o *Output) setDefaults() {
	o.File = ShipFile{MaxBytes: 64 << 20, Keep: 4}
	o.Syslog = ShipSyslog{Facility: "daemon"}
	o.OTLP = ShipOTLP{Metrics: time.Minute}
}

// Filter is what the output wants, as in the API.
func (o *Output) Filter() *skepv1.Filter {
	return &skepv1.Filter{Kinds: o.Kinds, Exes: o.Exes, Containers: o.Containers, Where: o.Where}
}

// Roles names the groups and the user that get a role besides uid 0.
type Roles struct {
	ViewGroup    string `yaml:"view_group"`
	OperateGroup string `yaml:"operate_group"`
	WebUser      string `yaml:"web_user"`
}

// Audit is the log of API calls; an empty Path is audit.log in the data directory.
type Audit struct {
	Path string `yaml:"path"`
}

// DefaultYAML is a commented skep.yaml that means Default().
//
//go:embed skep.yaml
var DefaultYAML string

// Default is the configuration of an agent without a file.
func Default() Config {
	return Config{
		Socket:  "/run/skep/skep.sock",
		Listen:  Listen{Users: []string{}},
		DataDir: "/var/lib/skep",
		BPFFS:   "/sys/fs/bpf/skep",
		Log:     Log{Level: "info", Format: "text"},
		History: History{MaxBytes: 16 << 20},
		Store:   Store{Enabled: true, MaxBytes: 1 << 30, MaxAge: 7 * 24 * time.Hour},
		Rings:   Rings{CriticalBytes: 4 << 20, TelemetryBytes: 4 << 20},
		Tables:  Tables{Processes: 32768, Connections: 65536, ExitedProcesses: 4096},
		Sensors: Sensors{TCP: Sensor{Enabled: true}, DNS: DNS{Enabled: true, Ports: []int{53}}, Files: Files{Paths: []string{}},
			UDP: Sensor{Enabled: true}, Unix: Sensor{Enabled: true}, Host: Host{Calls: []string{"auto"}}},
		Containers: Containers{Sockets: []string{
			"/run/containerd/containerd.sock",
			"/run/k3s/containerd/containerd.sock",
			"/run/k0s/containerd.sock",
			"/var/snap/microk8s/common/run/containerd.sock",
			"/run/crio/crio.sock",
			"/run/docker.sock",
			"/run/podman/podman.sock",
			"/var/lib/containers/storage",
		}},
		Ship:   map[string]Output{},
		Redact: Redact{Defaults: true, Names: []string{}, Args: []string{}},
		Roles:  Roles{ViewGroup: "skep", OperateGroup: "skep-operators", WebUser: "skep-web"},
	}
}

// FilterCheck says what is wrong with what an output wants: it compiles it, with
// packages that whoever runs no outputs does not have to link. nil takes any.
type FilterCheck func(*skepv1.Filter) error

// Find is Load, but an empty path means DefaultPath, which need not exist.
func Find(path string, check FilterCheck) (Config, error) {
	if path != "" {
		return Load(path, check)
	}
	c, err := Load(DefaultPath, check)
	if errors.Is(err, fs.ErrNotExist) {
		return Default(), nil
	}
	return c, err
}

// Load reads a skep.yaml. Keys that it leaves out keep their defaults. Every
// fault found is in the error, one *Error each, in the order of the file.
func Load(path string, check FilterCheck) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := readAtMost(f, maxFile)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration %s: %w", path, err)
	}
	return Parse(path, data, check)
}

// Parse is Load of a file's content; name appears in the errors.
func Parse(name string, data []byte, check FilterCheck) (Config, error) {
	c := Default()
	d := decoder{file: name, at: map[string]position{}, filter: check}
	if root := d.parse(data); root != nil {
		d.decode(root, "", &c)
	}
	d.check(&c)
	if err := d.err(); err != nil {
		return Config{}, err
	}
	return c, nil
}
