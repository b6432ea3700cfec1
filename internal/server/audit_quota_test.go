// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/durable"
)

// What another user sends and nobody can decode leaves a line like any other call, with
// the code that was answered.
func TestAuditOfWhatCannotBeDecoded(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	if said := a.as(t, syscall.Credential{Uid: 61000, Gid: viewGID}, "garbage"); said != "" {
		t.Error(said)
	}
	lines := a.audit.all(t)
	if len(lines) != len(garbage) {
		t.Fatalf("%d lines for %d requests:\n%s", len(lines), len(garbage), a.audit.text())
	}
	for i, g := range garbage {
		line := lines[i]
		if line["code"] != g.code || line["uid"] != 61000.0 || line["role"] != "view" || line["error"] == nil {
			t.Errorf("%s: %v\nwant code %s", g.name, line, g.code)
		}
		if method := line["method"].(string); strings.Contains(method, "\x1b") || !strings.Contains(method, g.path[:6]) {
			t.Errorf("%s: method %q", g.name, method)
		}
	}
	if text := scrape(t, a); !strings.Contains(text, `skep_api_calls_total{code="unimplemented",method="unknown"} 1`) ||
		!strings.Contains(text, `skep_api_calls_total{code="invalid_argument",method="GetStatus"} 4`) {
		t.Errorf("not counted:\n%s", text)
	}
}

// auditFile is a log so small that a flood of lines would push all others out of it.
func auditFile(t *testing.T) (*durable.Append, func() []map[string]any) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	f, err := OpenAudit(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	f.MaxBytes = auditBurst / 2
	return f, func() (all []map[string]any) {
		files, _ := filepath.Glob(path + "*")
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range bytes.Lines(text) {
				m := map[string]any{}
				if err := json.Unmarshal(line, &m); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				all = append(all, m)
			}
		}
		return all
	}
}

// accounted sums the calls with a code, of lines and summaries.
func accounted(lines []map[string]any, code string) (calls, summarised int) {
	for _, l := range lines {
		if l["event"] == "summary" {
			n, _ := l["calls"].(map[string]any)["GetStatus"].(map[string]any)[code].(float64)
			summarised += int(n)
		} else if l["method"] == "GetStatus" && l["code"] == code {
			calls++
		}
	}
	return calls + summarised, summarised
}

// A user's calls, however many, do not push out an administrator's lines, and each call
// is accounted for.
func TestFloodCannotWashTheLogAway(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		who  []syscall.Credential
		code string
	}{
		"a viewer":                 {[]syscall.Credential{{Uid: 61000, Gid: viewGID}}, "ok"},
		"without a role, two uids": {[]syscall.Credential{{Uid: nobodyUID, Gid: nobodyUID}, {Uid: nobodyUID + 1, Gid: nobodyUID}}, "permission_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			log, read := auditFile(t)
			a := startAgent(t, func(d *Deps) { d.Audit = log })
			if _, err := client(a.socket).CreateToken(t.Context(), &skepv1.CreateTokenRequest{}); err != nil {
				t.Fatal(err)
			}
			for _, who := range c.who {
				a.as(t, who, "flood")
			}
			a.stop()
			lines := read()
			if !slices.ContainsFunc(lines, func(l map[string]any) bool { return l["method"] == "CreateToken" }) {
				t.Error("the administrator's line is gone")
			}
			if all, summarised := accounted(lines, c.code); all != len(c.who)*floodCalls || summarised < floodCalls/2 {
				t.Errorf("%d calls accounted for, %d of them in summaries, of %d", all, summarised, len(c.who)*floodCalls)
			}
		})
	}
}

// A call that does more than read has its line, however many calls came before it.
func TestFloodHidesNoToken(t *testing.T) {
	needRoot(t)
	log, read := auditFile(t)
	log.MaxBytes = 16 << 20
	a := startAgent(t, func(d *Deps) { d.Audit = log })
	a.as(t, syscall.Credential{Uid: 61000, Gid: viewGID}, "flood")
	a.as(t, syscall.Credential{Uid: 61000, Gid: viewGID}, "token")
	a.stop()
	for _, l := range read() {
		if l["method"] == "CreateToken" && l["event"] != "summary" && l["uid"] == 61000.0 {
			return
		}
	}
	t.Error("the token has no line of its own")
}

// In the long run a user writes no faster than the quota refills, summaries included,
// and nobody else pays for it.
func TestQuotaOfTheAuditLog(t *testing.T) {
	var out lines
	now := time.Unix(1e9, 0)
	s := &Server{audit: newAudit(&out, nil), calls: newCallCounts()}
	s.audit.now = func() time.Time { return now }
	spam := func(c caller) {
		(&call{server: s, caller: c, known: true, line: auditLine{Method: "GetStatus"}}).ended("call", nil)
	}
	viewer := caller{uid: 7, user: "ann", role: skepv1.Role_ROLE_VIEW, member: true, peer: peer{uid: 7}}
	const hours = 24
	for range hours * 60 {
		for range 200 {
			spam(viewer)
		}
		now = now.Add(time.Minute)
		s.audit.summarise(false)
	}
	if limit := auditBurst + auditRefill*hours*3600 + auditCredit; len(out.text()) > limit {
		t.Errorf("%d bytes in %d hours, the limit is %d", len(out.text()), hours, limit)
	}
	s.audit.summarise(true)
	if all, _ := accounted(out.all(t), "ok"); all != hours*60*200 {
		t.Errorf("%d calls accounted for, of %d", all, hours*60*200)
	}
	before := len(out.text())
	page := caller{uid: 8, user: "bob", role: skepv1.Role_ROLE_VIEW, member: true, peer: peer{uid: 7}, token: &token{uid: 8}}
	spam(page)
	if !strings.Contains(out.text()[before:], `"user":"bob"`) {
		t.Error("one user of the page paid for another")
	}
	now = now.Add(auditBurst / auditRefill * time.Second)
	s.audit.summarise(false)
	if n := len(s.audit.quotas); n != 0 {
		t.Errorf("%d quotas are kept for ever", n)
	}
}
