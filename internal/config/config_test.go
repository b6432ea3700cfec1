// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

func TestDefaultYAMLMeansDefault(t *testing.T) {
	got, err := Parse("default", []byte(DefaultYAML), compiles)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, Default()) {
		t.Errorf("DefaultYAML is\n%+v\nDefault is\n%+v", got, Default())
	}
}

// Each key must be written out in DefaultYAML, or the test above proves
// nothing for it. An independent decoder says what is there.
func TestDefaultYAMLIsComplete(t *testing.T) {
	var file map[string]any
	if err := yaml.Unmarshal([]byte(DefaultYAML), &file); err != nil {
		t.Fatal(err)
	}
	var walk func(reflect.Type, map[string]any, string)
	walk = func(typ reflect.Type, m map[string]any, path string) {
		for i := range typ.NumField() {
			key := typ.Field(i).Tag.Get("yaml")
			value, ok := m[key]
			if !ok || key == "" {
				t.Errorf("%s is not in DefaultYAML", join(path, key))
			}
			if typ.Field(i).Type.Kind() == reflect.Struct {
				sub, _ := value.(map[string]any)
				walk(typ.Field(i).Type, sub, join(path, key))
			}
		}
	}
	walk(reflect.TypeFor[Config](), file, "")
}

func TestEmptyMeansDefault(t *testing.T) {
	for _, in := range []string{"", "\n", "# nothing\n", "---\n", "metrics:\nlog:\n  # level: info\n", "null\n"} {
		got, err := Parse("f", []byte(in), compiles)
		if err != nil || !reflect.DeepEqual(got, Default()) {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}

func TestParseSetsValues(t *testing.T) {
	got, err := Parse("f", []byte(`
node_name: web-1
metrics: {listen: "[::1]:9100"}
history: {max_bytes: 64MiB}
rings: {critical_bytes: 65536}
tables: {processes: 2048, exited_processes: 0}
sensors: {tcp: {enabled: false}}
containers: {sockets: []}
roles: {view_group: "", operate_group: "5000", web_user: "61184"}
`), compiles)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.NodeName = "web-1"
	want.Metrics.Listen = "[::1]:9100"
	want.History.MaxBytes = 64 << 20
	want.Rings.CriticalBytes = 65536
	want.Tables.Processes, want.Tables.ExitedProcesses = 2048, 0
	want.Sensors.TCP.Enabled = false
	want.Containers.Sockets = []string{}
	want.Roles.ViewGroup, want.Roles.OperateGroup, want.Roles.WebUser = "", "5000", "61184"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFaults(t *testing.T) {
	long := "/" + strings.Repeat("x", 107)
	for _, c := range []struct{ name, in, want string }{
		{"unknown", "node_nam: x\n", `f:1:1: unknown key "node_nam"; did you mean "node_name"?`},
		{"unknown nested", "sensors:\n  tcp:\n    enabld: true\n", `f:3:5: unknown key "enabld" in sensors.tcp; did you mean "enabled"?`},
		{"unknown far", "metrics:\n  zzzzzzzzz: 1\n", `f:2:3: unknown key "zzzzzzzzz" in metrics; the keys here are listen`},
		{"merge key", "log:\n  <<: {level: info}\n", `f:2:3: unknown key "<<" in log`},
		{"duplicate", "socket: /a\ncluster: x\nsocket: /b\n", `f:3:1: key "socket" is there twice, first in line 1`},
		{"no ports", "sensors: {dns: {ports: []}}\n", `f:1:24: sensors.dns.ports must be a list of 1 to 4 ports; set sensors.dns.enabled to false for none`},
		{"a port for a list", "sensors: {dns: {ports: 53}}\n", `f:1:24: sensors.dns.ports must be a list such as [53]`},
		{"no number", "sensors: {dns: {ports: [53, dns]}}\n", `f:1:24: sensors.dns.ports must be a list of whole numbers; item 2 (line 1) is not one`},
		{"no port", "sensors: {dns: {ports: [53, 65536]}}\n", `f:1:24: sensors.dns.ports must be from 1 to 65535, not 65536`},
		{"too many ports", "sensors: {dns: {ports: [1, 2, 3, 4, 5]}}\n", `f:1:24: sensors.dns.ports must be a list of 1 to 4 ports; set sensors.dns.enabled to false for none`},
		{"relative path", "sensors: {files: {paths: [etc]}}\n", `f:1:26: sensors.files.paths item 1 must be an absolute path, not "etc"`},
		{"odd path", "sensors: {files: {paths: [/etc, /usr/../etc/]}}\n", `f:1:26: sensors.files.paths item 2 must be written "/etc", not "/usr/../etc/"`},
		{"path twice", "sensors: {files: {paths: [/etc, /etc]}}\n", `f:1:26: sensors.files.paths item 2 is there twice: "/etc"`},
		{"long path", "sensors: {files: {paths: [/" + strings.Repeat("x", 255) + "]}}\n", `f:1:26: sensors.files.paths item 1 must have at most 255 bytes; it has 256`},
		{"many paths", "sensors: {files: {paths: [" + strings.Repeat("/a, ", 65) + "]}}\n", `f:1:26: sensors.files.paths has 65 items, the limit is 64`},
		{"unknown call", "sensors: {host: {calls: [auto, ptrac]}}\n", `f:1:25: sensors.host.calls item 2 is unknown: "ptrac"; did you mean "ptrace"?`},
		{"far call", "sensors: {host: {calls: [x]}}\n", `f:1:25: sensors.host.calls item 1 is unknown: "x"; there are auto, ptrace, mount`},
		{"call twice", "sensors: {host: {calls: [kill, kill]}}\n", `f:1:25: sensors.host.calls item 2 is there twice: "kill"`},
		{"bool", "sensors: {tcp: {enabled: yes}}\n", `f:1:26: sensors.tcp.enabled must be true or false, not "yes"`},
		{"int", "tables:\n  processes: many\n", `f:2:14: tables.processes must be a whole number, not "many"`},
		{"float", "tables:\n  processes: 1e5\n", `f:2:14: tables.processes must be a whole number`},
		{"string", "cluster: 12\n", `f:1:10: cluster must be a string: put 12 in quotes`},
		{"size", "history: {max_bytes: 16MB}\n", `f:1:22: history.max_bytes must be a size such as`},
		{"size overflow", "history: {max_bytes: 18446744073709551615TiB}\n", `f:1:22: history.max_bytes must be a size`},
		{"size negative", "history: {max_bytes: -1}\n", `f:1:22: history.max_bytes must be a size`},
		{"size low", "history: {max_bytes: 1}\n", `f:1:22: history.max_bytes must be from 1MiB to 4GiB, not 1`},
		{"ring", "rings:\n  telemetry_bytes: 3MiB\n", `f:2:20: rings.telemetry_bytes must be a power of two`},
		{"range", "tables: {connections: 5}\n", `f:1:23: tables.connections must be from 1024 to 4194304, not 5`},
		{"enum", "log: {level: loud}\n", `f:1:14: log.level must be one of debug, info, warn, error, not "loud"`},
		{"share", "limits:\n  cpu: 0.5\n", `f:2:8: limits.cpu must be a share of one CPU such as 3%, 0.5% or 150%, not "0.5"`},
		{"share of thousandths", "limits: {cpu: 30m}\n", `f:1:15: limits.cpu must be a share of one CPU`},
		{"share negative", "limits: {cpu: -3%}\n", `f:1:15: limits.cpu must be a share of one CPU`},
		{"share too small", "limits: {cpu: 0.01%}\n", `f:1:15: limits.cpu must be from 0.1% to 409600%, not 0.01%`},
		{"memory", "limits:\n  cpu: 3%\n  memory: 150MB\n", `f:3:11: limits.memory must be a size such as`},
		{"memory too small", "limits: {memory: 1MiB}\n", `f:1:18: limits.memory must be from 16MiB to 1TiB, not 1MiB`},
		{"relative", "data_dir: var/lib\n", `f:1:11: data_dir must be an absolute path, not "var/lib"`},
		{"socket too long", "socket: " + long + "\n", `f:1:9: socket must have at most 107 bytes`},
		{"listen", "metrics: {listen: localhost}\n", `f:1:19: metrics.listen must be an address and port`},
		{"port", "metrics: {listen: \"127.0.0.1:70000\"}\n", `f:1:19: metrics.listen must be an address and port`},
		{"list", "containers: {sockets: /run/x}\n", `f:1:23: containers.sockets must be a list`},
		{"list item", "containers:\n  sockets:\n    - /a\n    - 5\n", `item 2 (line 4) is not one`},
		{"not a scalar", "socket:\n  a: b\n", `f:2:3: socket must be a single value, not a mapping`},
		{"mapping", "metrics: 9100\n", `f:1:10: metrics must be a mapping with the keys listen`},
		{"top", "- a\n", `f:1:1: the file must be a mapping with the keys node_name`},
		{"scalar", "socket: [/a]\n", `f:1:9: socket must be a single value, not a list`},
		{"anchor", "node_name: &a x\ncluster: *a\n", `f:2:10: anchors, aliases and tags are not used here`},
		{"second document", "cluster: a\n---\ncluster: b\n", `f:3:1: a second document`},
		{"syntax", "a: b: c\n", `f:1:4: not YAML: `},
		{"unclosed", "log: {level: info\ncluster: x\n", `not YAML: `},
		{"control", "cluster: x\n#\x1b[31m\n", `f:2: not YAML: a control character`},
		{"not UTF-8", "cluster: \xff\n", `f:1: not YAML: a control character or a byte`},
		{"tag", "cluster: !!binary aGk=\n", `f:1:10: anchors, aliases and tags`},
		{"group", "roles: {view_group: \"a b\"}\n", `f:1:21: roles.view_group must be the name of a user or group`},
		{"node name", "node_name: \"a\\e[31m\"\n", `f:1:12: node_name must have at most 253`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("f", []byte(c.in), compiles)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
			var e *Error
			if !errors.As(err, &e) || e.Line == 0 {
				t.Errorf("no *Error with a line: %#v", err)
			}
		})
	}
}

// TestAllFaultsInOrder: faults of any sort are told at once, and none that is only what follows
// from another one.
func TestAllFaultsInOrder(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"sokcet: /a\ntables: {processes: x}\nlog: {levl: info}\n", []string{"f:1:1:", "f:2:21:", "f:3:7:"}},
		{"log: {level: loud}\ncluster: 12\ntables: {processes: 5}\n", []string{"f:1:14:", "f:2:10:", "f:3:21:"}},
		{"listen: {address: \"127.0.0.1:7538\", cert: 5, key: /k, client_ca: /c, users: [a]}\ndata_dir: var\n", []string{"f:1:43:", "f:2:11:"}},
		{"listen: {address: \"127.0.0.1:7538\", crt: /c, key: /k, client_ca: /c, users: [a]}\n", []string{"f:1:37:"}},
		{"ship:\n  a: {file: {pth: /x}}\n  b: {file: {path: x}}\n", []string{"f:2:14:", "f:3:20:"}},
	} {
		_, err := Parse("f", []byte(c.in), compiles)
		lines := strings.Split(fmt.Sprint(err), "\n")
		if !slices.EqualFunc(lines, c.want, strings.HasPrefix) {
			t.Errorf("%s%v\nwant %q", c.in, err, c.want)
		}
	}
}

func TestDuration(t *testing.T) {
	var v struct {
		D time.Duration `yaml:"d"`
	}
	for in, want := range map[string]time.Duration{"d: 5s": 5 * time.Second, "d: 1h30m": 90 * time.Minute} {
		d := decoder{file: "f", at: map[string]position{}}
		d.decode(d.parse([]byte(in)), "", &v)
		if v.D != want || d.err() != nil {
			t.Errorf("%s: %v %v", in, v.D, d.err())
		}
	}
	d := decoder{file: "f", at: map[string]position{}}
	d.decode(d.parse([]byte("d: 5")), "", &v)
	if d.err() == nil {
		t.Error("a duration without a unit was taken")
	}
}

func TestSizeRoundTrip(t *testing.T) {
	for _, s := range []Size{0, 1, 1023, 1 << 10, 3 << 20, 1 << 40, 1<<62 + 1} {
		back, err := ParseSize(s.String())
		if err != nil || back != s {
			t.Errorf("%d: %s, %v, %v", s, s, back, err)
		}
	}
}

func TestLoadAndFind(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "missing.yaml"), compiles)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	path := filepath.Join(dir, "skep.yaml")
	if err := os.WriteFile(path, []byte("cluster: east\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Find(path, compiles); err != nil || c.Cluster != "east" {
		t.Errorf("%+v %v", c, err)
	}
	if err := os.WriteFile(path, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, compiles); err == nil || !strings.Contains(err.Error(), "larger than 1MiB") {
		t.Errorf("huge file: %v", err)
	}
}

// Whatever is parsed without an error obeys the rules, and a refusal always
// says where.
func FuzzParse(f *testing.F) {
	f.Add([]byte(DefaultYAML))
	f.Add([]byte("a: &a [*a, *a]\n"))
	f.Add([]byte("rings: {critical_bytes: 16MiB}\n? [x]\n: y\n"))
	f.Add([]byte("ship: {a: {kinds: [exec], where: 'process.uid == 0', syslog: {address: 'udp://h:514'}}, b: {otlp: {endpoint: 'http://h', headers: {X: y}}}}"))
	f.Add([]byte("redact: {names: [pin], args: ['(a|b)c+']}"))
	f.Add([]byte("---\n---\n"))
	f.Add([]byte("log: {level: \"\\u001b[31m\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data, compiles)
		if err == nil {
			d := decoder{at: map[string]position{}}
			d.check(&c)
			if d.err() != nil {
				t.Fatalf("accepted, but %v", d.err())
			}
			return
		}
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("not an *Error: %v", err)
		}
	})
}
