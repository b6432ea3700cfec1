// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event/filters"
)

func TestShip(t *testing.T) {
	c, err := Parse("f", []byte(`ship:
  a: {file: {path: /x/y}}
  b: {kinds: [exec], where: process.uid == 0, syslog: {address: "unix:///dev/log"}}
  c: {otlp: {endpoint: "http://h:4318", headers: {X-Key: s}, metrics: 0s}}
`), compiles)
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Ship["a"]; len(c.Ship) != 3 || a.File.Path != "/x/y" || a.File.MaxBytes != 64<<20 || a.File.Keep != 4 || a.OTLP.Metrics != time.Minute {
		t.Errorf("%+v", c.Ship)
	}
	b := c.Ship["b"]
	if network, address, err := b.Syslog.Dial(); network != "unixgram" || address != "/dev/log" || err != nil || b.Syslog.Facility != "daemon" {
		t.Errorf("%+v: %s %s %v", b, network, address, err)
	}
	if out := c.Ship["c"].OTLP; out.Headers["X-Key"] != "s" || out.Metrics != 0 {
		t.Errorf("%+v", out)
	}
	for in, want := range map[string]string{
		"ship: [a]":                       "f:1:7: ship must be a mapping from names",
		"ship: {a b: {file: {path: /x}}}": "f:1:8: ship: a name has",
		"ship: {a: {file: {path: /x}}, a: {file: {path: /y}}}": `key "a" is there twice`,
		"ship: {a: {}}": "ship.a must have one of",
		"ship: {a: {file: {path: /x}, otlp: {endpoint: 'http://h'}}}":        "ship.a must have one of",
		"ship: {a: {file: {path: x}}}":                                       "f:1:25: ship.a.file.path must be an absolute path",
		"ship: {a: {file: {path: /x, keep: -1}}}":                            "ship.a.file.keep must be from",
		"ship: {a: {fiel: {path: /x}}}":                                      `unknown key "fiel" in ship.a; did you mean "file"?`,
		"ship: {a: {kinds: [exek], file: {path: /x}}}":                       `unknown kind "exek"`,
		"ship: {a: {where: 'pid ==', file: {path: /x}}}":                     "filter where",
		"ship: {a: {syslog: {address: 'host:514'}}}":                         "ship.a.syslog must have an address such as",
		"ship: {a: {syslog: {address: 'udp://h:514', facility: x}}}":         `has no facility "x"`,
		"ship: {a: {otlp: {endpoint: 'ftp://h'}}}":                           "ship.a.otlp.endpoint must be a URL",
		"ship: {a: {otlp: {endpoint: 'http://h', headers: {X: \"a\\nb\"}}}}": "without control characters",
		"ship: {a: {otlp: {endpoint: 'http://h', metrics: 1ms}}}":            "ship.a.otlp.metrics must be from",
		"redact: {args: ['(']}":                                              "redact args: item 1 is not a regular expression (RE2 syntax): missing closing )",
	} {
		if _, err := Parse("f", []byte(in), compiles); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", in, err, want)
		}
	}
}

// compiles is what skepd checks filters with.
func compiles(spec *skepv1.Filter) error {
	_, err := filters.Compile(spec, filters.Deps{})
	return err
}
