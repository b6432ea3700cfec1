// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"
	"testing"
	"time"
)

func compile(t testing.TB, o Options) *Rules {
	t.Helper()
	r, err := Compile(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// apply runs the rules over arguments that "|" separates.
func apply(r *Rules, line string) (string, int) {
	clean, n := r.Args([]byte(strings.ReplaceAll(line, "|", "\x00")))
	return strings.ReplaceAll(string(clean), "\x00", "|"), n
}

// TestDefaults has the forms that docs/privacy.md leaves out, and what must stay.
func TestDefaults(t *testing.T) {
	r := compile(t, Options{Defaults: true})
	for _, tt := range []struct{ in, want string }{
		// Options and variables.
		{"x|--password|hunter2|-v", "x|--password|[redacted]|-v"},
		{"x|--password=a b;c", "x|--password=[redacted]"},
		{"x|--password|-secret1", "x|--password|[redacted]"},
		{"x|--password|--host|h", "x|--password|--host|h"},
		{"x|--password|-h|h", "x|--password|-h|h"},
		{"x|--password", "x|--password"},
		{"x|--password=", "x|--password="},
		{"x|-token|t0ken", "x|-token|[redacted]"},
		{"java|-Djavax.net.ssl.keyStorePassword=changeit|Main", "java|-Djavax.net.ssl.keyStorePassword=[redacted]|Main"},
		{"env|PGPASSWORD=x y|psql", "env|PGPASSWORD=[redacted]|psql"},
		{"env|MYSQL_PWD=x|PWD=/srv|OLDPWD=/|ls", "env|MYSQL_PWD=[redacted]|PWD=/srv|OLDPWD=/|ls"},
		{"x|accessToken=abc|clientSecret=def", "x|accessToken=[redacted]|clientSecret=[redacted]"},
		{"docker|run|-e|AWS_SECRET_ACCESS_KEY=wJalr/X+|-e|AWS_ACCESS_KEY_ID=AKIA1", "docker|run|-e|AWS_SECRET_ACCESS_KEY=[redacted]|-e|AWS_ACCESS_KEY_ID=AKIA1"},
		{"x|--pass\xff=a\xfe", "x|--pass\xff=a\xfe"}, // not a name
		{"x|--passphrase=a\xfeb", "x|--passphrase=[redacted]"},
		// About a secret, not one.
		{"x|--password-file=/etc/x|--password-stdin|--passphrase-fd|3", "x|--password-file=/etc/x|--password-stdin|--passphrase-fd|3"},
		{"x|--no-password|db|--ask-pass|db", "x|--no-password|db|--ask-pass|db"},
		{"x|--max-tokens=512|--tokenizer=fast|--keyboard=us|author=me|monkey=1|--bypass=1", "x|--max-tokens=512|--tokenizer=fast|--keyboard=us|author=me|monkey=1|--bypass=1"},
		{"docker|run|-v|/run/secrets:/run/secrets|img", "docker|run|-v|/run/secrets:/run/secrets|img"},
		{"ssh-keygen|-t|ed25519|-f|/root/.ssh/key", "ssh-keygen|-t|ed25519|-f|/root/.ssh/key"},
		{"cat|/etc/passwd|/var/lib/token", "cat|/etc/passwd|/var/lib/token"},
		{"git|commit|-m|fix token handling", "git|commit|-m|fix token handling"},
		{"mkdir|-p|/a|-m700", "mkdir|-p|/a|-m700"},
		{"ssh|-p22|host", "ssh|-p22|host"},
		{"docker|run|-p|80:80|img", "docker|run|-p|80:80|img"},
		// Inside an argument.
		{`x|-d|{"user":"a","password":"p\"q","n":1}`, `x|-d|{"user":"a","password":"[redacted]","n":1}`},
		{`x|-d|{\"password\": \"pq\"}`, `x|-d|{\"password\": \"[redacted]\"}`},
		{`x|-d|{"token":123,"n":1}`, `x|-d|{"token":[redacted],"n":1}`},
		{"x|-d|user=a&password=b&c=d", "x|-d|user=a&password=[redacted]&c=d"},
		{"psql|host=h password=p dbname=d", "psql|host=h password=[redacted] dbname=d"},
		{"x|Server=s;Uid=sa;Pwd=p;Database=d", "x|Server=s;Uid=sa;Pwd=[redacted];Database=d"},
		{"curl|https://h/x?access_token=abc&y=1", "curl|https://h/x?access_token=[redacted]&y=1"},
		// Headers.
		{"curl|-H|Authorization: Digest username=\"m\", response=\"6629\"|h", "curl|-H|Authorization: [redacted]|h"},
		{"curl|-H|X-Api-Key: abc|-H|Accept: text/plain", "curl|-H|X-Api-Key: [redacted]|-H|Accept: text/plain"},
		{"sh|-c|curl -H 'Authorization: Bearer abc' h; ls", "sh|-c|curl -H 'Authorization: [redacted]' h; ls"},
		// URLs.
		{"git|clone|ssh://git@h/x|https://user:p@h/x", "git|clone|ssh://git@h/x|https://user:[redacted]@h/x"},
		{"x|http://tok@h/x", "x|http://[redacted]@h/x"},
		{"x|postgres://u:pa/ss@h/db", "x|postgres://u:[redacted]@h/db"},
		{"x|amqp://u:p@q@h:5672/", "x|amqp://u:[redacted]@h:5672/"},
		{"x|http://h:80/a@b|http://[::1]:80/a@b|http://[::1]/a@b|http://u:p@[::1]/", "x|http://h:80/a@b|http://[::1]:80/a@b|http://[::1]/a@b|http://u:[redacted]@[::1]/"},
		// Programs.
		{"/usr/bin/mysql|-uroot|-psecret|db", "/usr/bin/mysql|-uroot|-p[redacted]|db"},
		{"sudo|mysql|-p|db", "sudo|mysql|-p|db"},
		{"sh|-c|mysql -psecret db | wc", "sh|-c|mysql -p[redacted] db | wc"},
		{"sh|-c|su -c 'mysql -psecret'", "sh|-c|su -c 'mysql -p[redacted]'"},
		{"sh|-c|echo it's; mysql -psecret", "sh|-c|echo it's; mysql -p[redacted]"},
		{`sh|-c|mysql -p"my secret" db`, `sh|-c|mysql -p[redacted] db`},
		{"sh|-c|tool --password 'a b' --host h", "sh|-c|tool --password '[redacted]' --host h"},
		{"curl|-sSu|user:p|h", "curl|-sSu|user:[redacted]|h"},
		{"curl|-u|user|h", "curl|-u|user|h"},
		{"curl|-o|user:p", "curl|-o|user:p"},
		{"docker|login|-u|me|-p|x", "docker|login|-u|me|-p|[redacted]"},
		// Shapes.
		{"x|echo ghp_0123456789abcdefABCD", "x|echo ghp_[redacted]"},
		{"x|my_ghp_0123456789abcdefABCD|ghp_short", "x|my_ghp_0123456789abcdefABCD|ghp_short"},
		{"x|-----BEGIN SSH2 ENCRYPTED PRIVATE KEY-----\nabc\n-----END SSH2 ENCRYPTED PRIVATE KEY-----", "x|-----BEGIN SSH2 ENCRYPTED PRIVATE KEY-----[redacted]-----END SSH2 ENCRYPTED PRIVATE KEY-----"},
		{"x|-----BEGIN SSH2 PRIVATE KEY-----\nabc", "x|-----BEGIN SSH2 PRIVATE KEY-----[redacted]"},
		{"x|-----BEGIN CERTIFICATE-----\nabc", "x|-----BEGIN CERTIFICATE-----\nabc"},
		// Nothing to do.
		{"", ""}, {"|", "|"}, {"ls|-la||x|", "ls|-la||x|"},
	} {
		got, n := apply(r, tt.in)
		if got != tt.want || (n > 0) != (tt.in != tt.want) {
			t.Errorf("%q\n got %q, %d\nwant %q", tt.in, got, n, tt.want)
		}
	}
}

func TestCount(t *testing.T) {
	r := compile(t, Options{Defaults: true})
	for in, want := range map[string]int{
		"ls": 0, "x|--token|a": 1, "x|--token=a|--password=b": 2, "x|a=1&token=b&password=c": 1, "x|--token|a|--password|b|--pass|c": 3,
	} {
		if _, n := apply(r, in); n != want {
			t.Errorf("%q: %d arguments, want %d", in, n, want)
		}
	}
	counted := New(r)
	counted.Args([]byte("x\x00--token\x00a"))
	counted.Args([]byte("ls"))
	counted.Replace(compile(t, Options{}))
	if _, n := counted.Args([]byte("x\x00--token\x00a")); n != 0 || counted.Count() != 1 {
		t.Errorf("after the rules were replaced: %d, in all %d", n, counted.Count())
	}
	if _, n := (*Redactor)(nil).Args([]byte("--token\x00a")); n != 0 {
		t.Error("a nil redactor redacts")
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		options  Options
		in, want string
	}{
		{Options{}, "x|--password=a", "x|--password=a"},
		{Options{Names: []string{"--employee-pin"}}, "x|--employee_pin=1|--employee-pin|2|EMPLOYEE_PIN=3|--password=a", "x|--employee_pin=[redacted]|--employee-pin|[redacted]|EMPLOYEE_PIN=[redacted]|--password=a"},
		{Options{Names: []string{"pin"}}, "x|--pin=1|my-pin=2|spin=3", "x|--pin=[redacted]|my-pin=[redacted]|spin=3"},
		{Options{Args: []string{`^acct-(\d+)-(\w+)$`}}, "x|acct-12-ab|acct-x", "x|acct-[redacted]-[redacted]|acct-x"},
		{Options{Args: []string{`\d{16}`}}, "x|card 1234567812345678 ok|1", "x|card [redacted] ok|1"},
		{Options{Args: []string{`(?i)kiosk=(\w+)`}}, "x|KIOSK=a|\u212aio\u017fk=b", "x|KIOSK=[redacted]|\u212aio\u017fk=[redacted]"},
		{Options{Args: []string{`foo(bar)?-`}}, "x|foo-|foobar-", "x|foo-|foo[redacted]-"},
		{Options{Args: []string{`a+b|cd`}}, "x|zaab|cd|ac", "x|z[redacted]|[redacted]|ac"},
	} {
		if got, _ := apply(compile(t, tt.options), tt.in); got != tt.want {
			t.Errorf("%+v: %q\n got %q\nwant %q", tt.options, tt.in, got, tt.want)
		}
	}
	for _, bad := range []Options{{Args: []string{"("}}, {Args: []string{"a*"}}, {Names: []string{"--"}}} {
		if _, err := Compile(bad); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

func TestText(t *testing.T) {
	r := compile(t, Options{Defaults: true})
	in := "level=INFO msg=\"post http://u:hunter2@h/v1\"\nAuthorization: Bearer abcdef\ntool --password hunter2 x\nplain\n"
	want := "level=INFO msg=\"post http://u:[redacted]@h/v1\"\nAuthorization: [redacted]\ntool --password [redacted] x\nplain\n"
	if got := string(r.Text([]byte(in))); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestTriggerCoversRules asks the rules past the trigger: it must not hide what they find.
func TestTriggerCoversRules(t *testing.T) {
	r := compile(t, Options{Defaults: true})
	try := func(line string) {
		s := scan{rules: r, text: []byte(line)}
		s.arguments()
		if clean, n := s.replace(); n > 0 && !r.trigger.hit([]byte(line)) {
			t.Errorf("%q becomes %q, but no word of it is in the trigger", line, clean)
		} else if n == 0 {
			t.Errorf("%q: no rule applies", line)
		}
	}
	value := strings.Repeat("v", 40)
	for _, part := range secretParts {
		try("--" + part + "=" + value)
	}
	for _, end := range secretEnds {
		try("x" + end + "=" + value)
	}
	for _, owner := range keyOwners {
		try(owner + "_key=" + value)
	}
	try("--auth=" + value)
	for _, shape := range shapes {
		try(shape.begin + value)
	}
	for _, c := range commands {
		for _, name := range c.names {
			line := strings.TrimSuffix(name, "*") + "\x00" + c.sub + "\x00"
			for _, f := range c.flags {
				secret := "u:u%u," + value
				if f.how&separate != 0 {
					try(line + f.name + "\x00" + secret)
				} else {
					try(line + f.name + secret)
				}
			}
			if c.bare {
				try(line + "password\x00" + value)
			}
		}
	}
}

func TestTrigger(t *testing.T) {
	words := []string{"hex", "she", "hers", "-- x", "äb", "zhers!"}
	hit := newTrigger(words)
	for _, text := range []string{"", "h", "he", "sh", "ahb", "HEX", "uSHe", "hERs", "hhe", "x-- x", "--  x", "\x00\xff", "äb", "äc", "s\x00he", "zhers", "0123456she", "01234567she8", "012345678hex9abcdef", "her"} {
		want := false
		for _, w := range words {
			want = want || strings.Contains(strings.ToLower(text), w)
		}
		if got := hit.hit([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	if newTrigger(nil).hit([]byte("anything")) {
		t.Error("no words are in everything")
	}
}

// TestLinear counts what a scan does: it must not grow with the square of the length.
func TestLinear(t *testing.T) {
	r := compile(t, Options{Defaults: true})
	for _, unit := range []string{
		"password=", "token: ", "://", "a:b@", "'\"", "--token ", "mysql -p ", "ghp_", "-----BEGIN ", "\\\"password\\\":", "x=", "it's ",
	} {
		text := func(n int) []byte { return []byte(strings.Repeat(unit, n/len(unit))) }
		cost := func(n int) (best time.Duration) {
			in := text(n)
			for range 5 { // others use this machine too
				start := time.Now()
				r.Args(in)
				if took := time.Since(start); best == 0 || took < best {
					best = took
				}
			}
			return best
		}
		small, large := cost(1<<14), cost(1<<18)
		if large > 64*small+time.Millisecond { // 16 times as much; its square would be 256
			t.Errorf("%q: 16 KiB take %v, 256 KiB %v", unit, small, large)
		}
	}
}

var benchLines = map[string]string{
	"short":    "/usr/bin/true",
	"ordinary": "/usr/bin/python3|/usr/lib/app/server.py|--listen|0.0.0.0:8080|--workers|4|--log-level=info|--config|/etc/app/conf.yaml",
	"compiler": "gcc|-O2|-g|-fno-strict-aliasing|-Wall|-I/usr/include/glib-2.0|-I/usr/lib/x86_64-linux-gnu/glib-2.0/include|-c|-o|main.o|main.c",
	"match":    "curl|-s|-H|Authorization: Bearer abcdef|https://example.test/x",
}

func BenchmarkArgs(b *testing.B) {
	r := New(compile(b, Options{Defaults: true}))
	for name, line := range benchLines {
		text := []byte(strings.ReplaceAll(line, "|", "\x00"))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				r.Args(text)
			}
		})
	}
}
