// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Host{
		"ssh://web-1":                  {Name: "web-1"},
		"ssh://web_1.example.org/":     {Name: "web_1.example.org"},
		"ssh://ops@web-1:2222":         {User: "ops", Name: "web-1", Port: "2222"},
		"ssh://[2001:db8::1]:22":       {Name: "2001:db8::1", Port: "22"},
		"ssh://ops@[fe80::1%25eth0]":   {User: "ops", Name: "fe80::1%eth0"},
		"ssh://j.doe@10.0.0.1":         {User: "j.doe", Name: "10.0.0.1"},
		"SSH://web-1":                  {Name: "web-1"},
		"https://web-1:7539":           {Name: "web-1", Port: "7539", TLS: true},
		"https://[2001:db8::1]":        {Name: "2001:db8::1", TLS: true},
		"ssh://web-1:65535":            {Name: "web-1", Port: "65535"},
		"ssh://xn--bcher-kva.example.": {Name: "xn--bcher-kva.example."},
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, why := range map[string]string{
		"":                           "must be ssh://",
		"web-1":                      "such as ssh://",
		"ops@web-1":                  "such as ssh://",
		"http://web-1":               "by ssh://[USER@]HOST[:PORT] or https://",
		"https://ops@web-1":          "the certificate says who you are",
		"https://web-1/skep":         "nothing may follow https://",
		"ssh://":                     `"" is not the name or address of a host`,
		"ssh://-oProxyCommand=id":    "is not the name",
		"ssh://%2doProxyCommand=id":  "not a URL",
		"ssh://web-1;id":             "is not the name",
		"ssh://web-1%20id":           "not a URL",
		"ssh://$(id)":                "is not the name",
		"ssh://`id`":                 "not a URL",
		"ssh://web%0a1":              "not a URL",
		"ssh://[::1%25-x%20;id]":     "is not the name",
		"ssh://-l@web-1":             "is not the name of a user",
		"ssh://a%20b@web-1":          "is not the name of a user",
		"ssh://ops:hunter2@web-1":    "a password does not belong here",
		"ssh://ops:@web-1":           "a password does not belong here",
		"http://ops:hunter2@web-1":   "agents are reached by",
		"ssh://ops:hunter2@web:1x":   "not a URL",
		"ops:hunter2@web-1":          "must be ssh://",
		"ssh://web-1:0":              "not a number from 1 to 65535",
		"ssh://web-1:65536":          "not a number from 1 to 65535",
		"ssh://web-1:ssh":            "not a URL",
		"ssh://web-1/run/skep.sock":  "nothing may follow",
		"ssh://web-1?x":              "nothing may follow",
		"ssh://web-1?":               "nothing may follow",
		"ssh://web-1#x":              "nothing may follow",
		"ssh://" + long(254):         "is not the name",
		"ssh://" + long(65) + "@web": "is not the name of a user",
	} {
		if h, err := Parse(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("Parse(%q) = %+v, %v, want an error with %q", text, h, err, why)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
}

func long(n int) string { return strings.Repeat("a", n) }

// Whatever is accepted cannot be an option, nor more than one word of a shell,
// and its name means the same host.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"ssh://web-1", "ssh://ops@web-1:2222", "ssh://[fe80::1%25eth0]:22", "ssh://-oProxyCommand=id", "ssh://%2d", "ssh://a:b@c", "ssh://[::1]", "ssh://[::ffff:1.2.3.4]", "ssh://a@b@c"} {
		f.Add(s)
	}
	f.Add("https://web-1:7539")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := Parse(s)
		if err != nil {
			return
		}
		args := h.args(time.Second)
		for _, word := range []string{h.Name, h.User, h.Port} {
			if strings.HasPrefix(word, "-") || strings.ContainsAny(word, " \t\r\n;&|<>()$`\\\"'*?[]{}#~=!\x00") {
				t.Fatalf("%q: %q is not one plain word", s, word)
			}
		}
		if end := slices.Index(args, "--"); end != len(args)-3 || args[end+1] != h.Name || args[end+2] != farCommand {
			t.Fatalf("%q: ssh gets %q", s, args)
		}
		text := strings.ReplaceAll(h.String(), "%", "%25")
		if !h.TLS {
			text = "ssh://" + text
		}
		again, err := Parse(text)
		if err != nil || again != h {
			t.Fatalf("%q: %+v is written %q, which is read as %+v, %v", s, h, h, again, err)
		}
	})
}

func FuzzParseList(f *testing.F) {
	f.Add("# web\nssh://web-1\n\nssh://ops@web-2:22 # the second\r\n")
	f.Add("ssh://web-1\x00\n")
	f.Add("web-1\n")
	f.Fuzz(func(t *testing.T, text string) {
		hosts, err := parseList(text)
		if (len(hosts) == 0) == (err == nil) {
			t.Fatalf("%d hosts, %v", len(hosts), err)
		}
		for _, h := range hosts {
			if h.check() != nil {
				t.Fatalf("%+v is accepted", h)
			}
		}
	})
}

func TestParseAll(t *testing.T) {
	list := write(t, "# the web servers\nssh://web-1\n\n  ssh://ops@web-2:22 # the second\r\nssh://web-1\n")
	got, err := ParseAll([]string{"ssh://db", "@" + list, "ssh://web-1"})
	want := []Host{{Name: "db"}, {Name: "web-1"}, {User: "ops", Name: "web-2", Port: "22"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	var many strings.Builder
	for i := range MaxHosts + 1 {
		fmt.Fprintf(&many, "ssh://h%d\n", i)
	}
	for text, why := range map[string]string{
		"ssh://web-1\nweb-2\n":     `line 2: "web-2": must be`,
		"# nothing\n":              "no host in it",
		many.String():              "at most 256 can be asked at once",
		long(maxList) + "\n":       "is it a list of hosts?",
		"ssh://web-1 ssh://web-2":  "line 1",
		"ssh://web-1\x1b[31m":      "line 1",
		"ssh://ok\nssh://-oX=y #c": "line 2",
	} {
		_, err := ParseAll([]string{"@" + write(t, text)})
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.40q: %v, want %q", text, err, why)
		}
	}
	if _, err := ParseAll([]string{"@/no/such/file"}); err == nil || !strings.Contains(err.Error(), "/no/such/file: no such file") {
		t.Errorf("a list that is not there: %v", err)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
