// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"io"
	"strconv"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/reach"
)

// merged is where the output of several hosts comes together: whole lines, in
// the order in which they come.
type merged struct {
	mu       sync.Mutex
	out, err io.Writer
	head     sync.Once
	headErr  error
}

// heading writes what comes once above all lines, before any of them.
func (m *merged) heading(text []byte) error {
	m.head.Do(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		_, m.headErr = m.out.Write(text)
	})
	return m.headErr
}

// lines takes what one host writes and passes on whole lines.
type lines struct {
	merged *merged
	to     io.Writer
	// mark begins each line, after "skep: "; "" is none.
	mark string
	rest []byte
}

// Write implements io.Writer. What follows the last end of a line waits for
// more; it is at most a record.
func (l *lines) Write(p []byte) (int, error) {
	end := bytes.LastIndexByte(p, '\n') + 1
	if end == 0 {
		l.rest = append(l.rest, p...)
		return len(p), nil
	}
	whole := p[:end]
	if len(l.rest) > 0 {
		whole = append(l.rest, whole...)
	}
	if l.mark != "" {
		whole = marked(whole, l.mark)
	}
	l.merged.mu.Lock()
	_, err := l.to.Write(whole)
	l.merged.mu.Unlock()
	if err != nil {
		return 0, err
	}
	l.rest = append(l.rest[:0], p[end:]...)
	return len(p), nil
}

// marked marks every line: a host must not speak in another's name.
func marked(text []byte, mark string) (out []byte) {
	for line := range bytes.Lines(text) {
		out = append(out, "skep: "+mark+": "...)
		out = append(out, bytes.TrimPrefix(line, []byte("skep: "))...)
	}
	return out
}

// of is the app for what one host answers; m is nil where that is the only one.
func (a *app) of(h reach.Host, m *merged) *app {
	on := *a
	on.host = h.String()
	if m != nil {
		on.merged = m
		on.out = &lines{merged: m, to: m.out}
		on.err = &lines{merged: m, to: m.err, mark: on.host}
	}
	return &on
}

// title is the line above a page of a host among several.
func (a *app) title() string {
	if a.merged == nil {
		return ""
	}
	return a.screen.paint(bold, "==> "+a.host+" <==") + "\n"
}

// heading writes what comes once above a stream.
func (a *app) heading(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if a.merged != nil {
		return wrapWrite(a.merged.heading(text))
	}
	_, err := a.out.Write(text)
	return wrapWrite(err)
}

// hostColumns is the width of the widest of the hosts' names.
func (a *app) hostColumns() int {
	n := 0
	for _, h := range a.hosts {
		n = max(n, columns(h.String()))
	}
	return n
}

// users turns user ids into names; those of other hosts are not known here.
func (a *app) users() userNames {
	if a.host != "" {
		return nil
	}
	return userNames{}
}

// appendJSON appends a message as one object. Where hosts were named, the first
// field is the host, as it was named: what the message says of its node is the
// word of that host.
func (a *app) appendJSON(dst []byte, m proto.Message) []byte {
	if a.host == "" {
		return event.AppendJSON(dst, m)
	}
	dst = strconv.AppendQuote(append(dst, `{"host":`...), a.host) // ASCII: see reach.Parse
	start := len(dst)
	dst = event.AppendJSON(dst, m)
	if string(dst[start:]) == "{}" {
		return append(dst[:start], '}')
	}
	dst[start] = ','
	return dst
}
