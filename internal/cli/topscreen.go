// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// topScreen fills the terminal until the user quits or the stream ends.
func (a *app) topScreen(ctx context.Context, c *client, req *skepv1.TopRequest) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	program := tea.NewProgram(&topModel{screen: a.screen, by: req.GetBy(), group: req.GetGroup(), interval: req.GetInterval().AsDuration().String()},
		tea.WithContext(ctx), tea.WithOutput(a.tty), tea.WithoutSignalHandler())
	go func() { program.Send(topEnd{receiveTop(inner, c, req, program)}) }()
	last, err := program.Run()
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("show the screen: %w; --batch needs none", err)
	}
	m := last.(*topModel)
	switch {
	case !m.ended:
		return nil
	case m.err != nil:
		return endOfStream(ctx, m.err)
	}
	return fail(exitNoAgent, "the agent ended the stream")
}

// receiveTop hands on what comes. The agent answers after its first measurement, and not before.
func receiveTop(ctx context.Context, c *client, req *skepv1.TopRequest, to *tea.Program) error {
	stream, err := c.Top(ctx, req)
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		to.Send(stream.Msg())
	}
	return stream.Err()
}

// topEnd says that the stream has ended.
type topEnd struct{ err error }

// topModel is what the screen shows.
type topModel struct {
	screen    screen
	by, group string
	interval  string

	last          *skepv1.TopResponse // nil before the first
	paused        bool
	typing        bool // of the text to look for
	text          string
	first         int // row shown at the top
	width, height int
	ended         bool
	err           error
}

// Init implements tea.Model.
func (m *topModel) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case *skepv1.TopResponse:
		if !m.paused {
			m.last = msg
		}
	case topEnd:
		m.ended, m.err = true, msg.err
		return m, tea.Quit
	case tea.KeyPressMsg:
		if m.typing {
			return m, m.typed(msg)
		}
		return m, m.pressed(msg.String())
	}
	return m, nil
}

var topKeys = map[string]string{"e": "events", "o": "connections", "b": "bytes", "c": "cpu"}

func (m *topModel) pressed(key string) tea.Cmd {
	if by := topKeys[key]; by != "" {
		m.by, m.first = by, 0
	}
	switch key {
	case "q", "ctrl+c":
		return tea.Quit
	case "left", "right":
		step := map[string]int{"left": len(topOrders) - 1, "right": 1}[key]
		m.by, m.first = topOrders[(slices.Index(topOrders, m.by)+step)%len(topOrders)], 0
	case "p", "space":
		m.paused = !m.paused
	case "/":
		m.typing, m.text = true, ""
	case "esc":
		m.text = ""
	case "up":
		m.first = max(0, m.first-1)
	case "down":
		m.first++
	case "pgup":
		m.first = max(0, m.first-m.room())
	case "pgdown":
		m.first += m.room()
	case "home":
		m.first = 0
	}
	return nil
}

// typed takes a key while the text to look for is being typed.
func (m *topModel) typed(key tea.KeyPressMsg) tea.Cmd {
	switch key.String() {
	case "ctrl+c":
		return tea.Quit
	case "enter":
		m.typing = false
	case "esc":
		m.typing, m.text = false, ""
	case "backspace":
		runes := []rune(m.text)
		m.text = string(runes[:max(0, len(runes)-1)])
	default:
		m.text += key.Text
	}
	m.first = 0
	return nil
}

// room is how many rows fit below the head: the summary, the keys and the titles.
func (m *topModel) room() int { return max(1, m.height-3) }

// rows are those that have the text, sorted.
func (m *topModel) rows() []*skepv1.TopRow {
	rows := slices.DeleteFunc(slices.Clone(m.last.GetRows()), func(r *skepv1.TopRow) bool {
		p := r.GetProcess()
		names := []string{p.GetComm(), p.GetExe(), p.GetContainer().GetName(), p.GetContainer().GetId()}
		for i, c := range topNames[m.group].cells(r) { // also "kernel threads", which none of them is called
			if !topNames[m.group].columns[i].right {
				names = append(names, c.text)
			}
		}
		return !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, m.text) })
	})
	slices.SortStableFunc(rows, func(a, b *skepv1.TopRow) int { return cmp.Compare(topValue(b, m.by), topValue(a, m.by)) })
	return rows
}

func topValue(r *skepv1.TopRow, by string) float64 {
	switch by {
	case "connections":
		return float64(r.GetConnections())
	case "bytes":
		return r.GetBytesSent() + r.GetBytesReceived()
	case "cpu":
		return r.GetCpu()
	}
	return r.GetEvents()
}

// View implements tea.Model.
func (m *topModel) View() tea.View {
	v := tea.NewView(m.page())
	v.AltScreen = true
	return v
}

func (m *topModel) page() string {
	if m.last == nil {
		return "measuring for " + m.interval
	}
	rows := m.rows()
	m.first = min(m.first, max(0, len(rows)-m.room()))
	rows = rows[m.first:min(len(rows), m.first+m.room())]
	lines := []string{m.screen.fit(topSummary(m.last), m.width), m.screen.fit(m.status(), m.width)}
	text := string(topTable(m.last, rows, m.group).render(nil, m.screen, m.width))
	return strings.Join(lines, "\n") + "\n" + strings.TrimSuffix(text, "\n")
}

// status is the line of what the user has chosen.
func (m *topModel) status() string {
	line := "by " + m.by + ", every " + m.interval
	if m.paused {
		line += ", held"
	}
	switch {
	case m.typing:
		line += "  /" + event.Printable(m.text) + "_"
	case m.text != "":
		line += fmt.Sprintf("  only %q (Esc: all)", event.Printable(m.text))
	default:
		line += "   e o b c: sort by events, connections, bytes, CPU   /: find   p: hold   q: quit"
	}
	return line
}
