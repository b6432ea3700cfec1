// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"strings"
	"testing"
)

// TestRedacted: what is printed means the same again, but for the secrets.
func TestRedacted(t *testing.T) {
	again, err := Parse("f", []byte(Default().Redacted()), compiles)
	if err != nil || !reflect.DeepEqual(again, Default()) {
		t.Errorf("the default comes back as %+v, %v", again, err)
	}
	c, err := Parse("f", []byte(`cluster: east
redact: {names: [hunter2a], args: ['hunter2b']}
ship:
  o: {kinds: [exec], where: "process.comm == \"x\"", otlp: {endpoint: "https://h/p", headers: {Authorization: Bearer hunter2d, X-Key: hunter2e}}}
`), compiles)
	if err != nil {
		t.Fatal(err)
	}
	text := c.Redacted()
	if strings.Contains(text, "hunter2") || strings.Count(text, "[redacted]") != 4 {
		t.Errorf("got\n%s", text)
	}
	again, err = Parse("f", []byte(text), compiles)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if got := strings.Join(Changed(c, again), " "); got != "redact.names redact.args ship" || again.Ship["o"].Where != c.Ship["o"].Where {
		t.Errorf("changed: %s", got)
	}
	c.Ship["o"] = Output{OTLP: ShipOTLP{Endpoint: "https://me:hunter2c@h/p"}}
	if text := c.Redacted(); !strings.Contains(text, `endpoint: "https://me:[redacted]@h/p"`) {
		t.Errorf("got\n%s", text)
	}
}
