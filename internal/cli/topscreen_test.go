// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// newTop is a screen of 100 columns with the sample on it.
func newTop(height int) *topModel {
	m := &topModel{screen: screen{terminal: true, utf8: true}, by: "events", group: "process", interval: "2s"}
	m.Update(tea.WindowSizeMsg{Width: 100, Height: height})
	m.Update(sampleTop())
	return m
}

// press types keys, special ones by their name in angle brackets.
func press(m *topModel, keys ...string) tea.Cmd {
	special := map[string]rune{"<enter>": tea.KeyEnter, "<esc>": tea.KeyEscape, "<backspace>": tea.KeyBackspace,
		"<up>": tea.KeyUp, "<down>": tea.KeyDown, "<left>": tea.KeyLeft, "<right>": tea.KeyRight, "<space>": tea.KeySpace, "<pgdown>": tea.KeyPgDown}
	var last tea.Cmd
	for _, k := range keys {
		key := tea.KeyPressMsg{Code: []rune(k)[0], Text: k}
		if code, ok := special[k]; ok {
			key = tea.KeyPressMsg{Code: code}
		}
		_, last = m.Update(key)
	}
	return last
}

// pids are those shown, from the top.
func pids(t *testing.T, m *topModel) (shown []string) {
	t.Helper()
	lines := strings.Split(m.page(), "\n")
	for _, line := range lines[min(3, len(lines)):] {
		shown = append(shown, strings.Fields(line)[6])
	}
	return shown
}

func wantPids(t *testing.T, m *topModel, want string) {
	t.Helper()
	if got := strings.Join(pids(t, m), " "); got != want {
		t.Errorf("%s are shown, want %s:\n%s", got, want, m.page())
	}
}

func TestTopFrame(t *testing.T) {
	m := newTop(24)
	lines := strings.Split(m.page(), "\n")
	for i, want := range []string{
		"events 2000/s  connections 52, new 3.5/s",
		"by events, every 2s   e o b c: sort by",
		"EVENTS  CONNS    NEW  SENT/S  RECEIVED/S     CPU  PID  COMMAND",
		"1234/s      -      -       -           -       -  666  ev",
		"  20/s     12  3.5/s  1.5KiB       34MiB  25.00%   80  nginx",
	} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want %q in it", i, lines[i], want)
		}
	}
	for _, line := range lines {
		if columns(line) > 100 || strings.ContainsAny(line, "\x1b\x07\r") {
			t.Errorf("%d columns: %q", columns(line), line)
		}
	}
	if !m.View().AltScreen {
		t.Error("what the terminal showed before is lost")
	}
}

func TestTopSorts(t *testing.T) {
	m := newTop(24)
	for _, c := range []struct{ key, want string }{
		{"e", "666 80 100"}, {"o", "100 80 666"}, {"b", "80 666 100"}, {"c", "100 80 666"},
		{"<right>", "666 80 100"}, {"<left>", "100 80 666"}, {"<left>", "80 666 100"},
	} {
		press(m, c.key)
		wantPids(t, m, c.want)
	}
}

func TestTopFinds(t *testing.T) {
	m := newTop(24)
	press(m, "/", "w", "e", "b")
	wantPids(t, m, "80") // by its container
	if !strings.Contains(m.page(), "/web_") {
		t.Errorf("what is typed is not shown: %s", m.page())
	}
	press(m, "<backspace>", "<backspace>", "<backspace>", "q", "<enter>") // q is a letter here
	wantPids(t, m, "")
	press(m, "<esc>")
	wantPids(t, m, "666 80 100")
	press(m, "/", "s", "h", "<enter>", "c")
	wantPids(t, m, "100")
}

// TestTopKernelThreads: by executable those that have none are a row, which has a name to look for.
func TestTopKernelThreads(t *testing.T) {
	m := newTop(24)
	m.group = "exe"
	m.Update(&skepv1.TopResponse{Rows: []*skepv1.TopRow{{Process: &skepv1.Process{Pid: 2, Comm: "kthreadd"}, Processes: 71, Cpu: 0.1},
		{Process: &skepv1.Process{Pid: 1, Comm: "init", Exe: "/sbin/init"}, Processes: 1, Cpu: 0.2}}})
	press(m, "/", "k", "e", "r", "n")
	if page := m.page(); !strings.Contains(page, "71  kernel threads") || strings.Contains(page, "/sbin/init") {
		t.Errorf("the page is\n%s", page)
	}
}

func TestTopHolds(t *testing.T) {
	m := newTop(24)
	next := &skepv1.TopResponse{Rows: sampleTop().Rows[:1]}
	press(m, "p")
	m.Update(next)
	wantPids(t, m, "666 80 100")
	press(m, "<space>")
	m.Update(next)
	wantPids(t, m, "666")
}

func TestTopScrolls(t *testing.T) {
	m := newTop(5) // two rows fit
	wantPids(t, m, "666 80")
	press(m, "<down>")
	wantPids(t, m, "80 100")
	press(m, "<down>", "<down>", "<pgdown>")
	wantPids(t, m, "80 100")
	press(m, "<up>")
	wantPids(t, m, "666 80")
}

func TestTopEnds(t *testing.T) {
	for _, keys := range [][]string{{"q"}, {"c", "q"}} {
		if cmd := press(newTop(24), keys...); cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%v does not quit", keys)
		}
	}
	m, gone := newTop(24), errors.New("gone")
	if _, cmd := m.Update(topEnd{gone}); cmd == nil || m.err != gone || !m.ended {
		t.Error("it outlives its stream")
	}
	if empty := (&topModel{interval: "2s"}).page(); empty != "measuring for 2s" {
		t.Errorf("before the first: %q", empty)
	}
}
