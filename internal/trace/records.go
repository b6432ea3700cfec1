// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
)

func (s *Session) say(o Output) { s.batch = append(s.batch, o) }

func (s *Session) flush() {
	if len(s.batch) > 0 {
		s.queue.put(s.batch)
		s.batch = nil
	}
}

// record does what a record on the ring asks for. Of what follows an exit() nothing is done,
// but processes that wait go on.
func (s *Session) record(data []byte) {
	if len(data) < 8 {
		return
	}
	number := binary.NativeEndian.Uint64(data)
	if number >= uint64(len(s.script.Actions)) {
		return
	}
	action := &s.script.Actions[number]
	if len(data) < action.Size {
		return
	}
	if action.Kind == bt.Watch { // a process may wait for it, whatever the script has said
		s.watch(action, data)
		return
	}
	if s.exited {
		return
	}
	switch action.Kind {
	case bt.Exit:
		s.exited, s.code = true, int(s.word(action, 0, data))
	case bt.Clear:
		s.changeMap(action, s.clear)
	case bt.Zero:
		s.changeMap(action, s.group.Zero)
	case bt.Unwatch:
		s.unwatch(action, data)
	case bt.PrintMap:
		if m := s.maps[action.Map]; m != nil && s.rate.allow(time.Now(), mapCost) {
			s.dump(m, action, int(s.word(action, 0, data)), s.word(action, 1, data), false)
		}
	default:
		if s.rate.allow(time.Now(), 1) {
			s.say(s.said(int(number), action, data))
		}
	}
}

// mapCost is what printing a map takes of what may be said in a second: reading one takes
// as long as reading some hundred records.
const mapCost = 100

func (s *Session) changeMap(action *bt.Action, change func(string) error) {
	if err := change(action.Map); err != nil {
		s.say(Output{Kind: Failure, Text: err.Error(), Pos: action.Pos})
	}
}

// word is an argument that is a number, 0 if there is no such argument.
func (s *Session) word(action *bt.Action, i int, data []byte) int64 {
	if i >= len(action.Args) || action.Args[i].Offset+8 > len(data) {
		return 0
	}
	return int64(binary.NativeEndian.Uint64(data[action.Args[i].Offset:]))
}

func (s *Session) said(number int, action *bt.Action, data []byte) Output {
	o := Output{Pos: action.Pos}
	switch action.Kind {
	case bt.Time:
		o.Kind, o.Text = Time, render.Strftime(action.Format, time.Now(), false)
		return o
	case bt.Join:
		o.Kind, o.Text = Join, s.joined(action, data)
		return o
	case bt.HelperError:
		o.Kind, o.Helper, o.Returned = HelperError, action.Helper, s.word(action, 0, data)
		o.Text, o.Reference = helperError(o.Helper, o.Returned)
		return o
	}
	values := s.arguments(action, data)
	switch action.Kind {
	case bt.PrintValue:
		o.Kind = Value
		if len(values) > 0 {
			o.Value = values[0]
		}
		return o
	case bt.Errorf:
		o.Kind = Errorf
	case bt.Warnf:
		o.Kind = Warnf
	case bt.SystemCommand:
		o.Kind, s.commanded = System, true
	case bt.Cat:
		o.Kind, s.commanded = Cat, true
	default:
		o.Kind = Printf
	}
	o.Text, o.Values = render.Format(s.formats[number], values), values
	return o
}

func (s *Session) arguments(action *bt.Action, data []byte) []render.Value {
	values := make([]render.Value, 0, len(action.Args))
	for _, arg := range action.Args {
		values = append(values, s.value(arg.Type, at(data, arg.Offset)))
	}
	return values
}

// at is what begins at an offset, nothing if that is behind the end.
func at(data []byte, offset int) []byte {
	if offset < 0 || offset > len(data) {
		return nil
	}
	return data[offset:]
}

func (s *Session) joined(action *bt.Action, data []byte) string {
	n := int(s.word(action, 0, data))
	var texts []string
	for i := 1; i < len(action.Args) && i <= n; i++ {
		texts = append(texts, s.value(action.Args[i].Type, at(data, action.Args[i].Offset)).String())
	}
	return strings.Join(texts, action.Format) + "\n"
}

// helperError says that a helper has failed, and the same in the words of bpftrace.
func helperError(helper string, returned int64) (text, reference string) {
	reference = strerror(-returned)
	switch {
	case helper == "map_lookup_elem":
		text, reference = "there is no such key: it reads as 0", "Can't lookup map element because it does not exist."
	case helper == "map_delete_elem" && returned == -int64(unix.ENOENT):
		text, reference = "there is no such key to delete", "Can't delete map element because it does not exist."
	case helper == "map_delete_elem":
		text = "this key cannot be deleted: " + reference
	default:
		text = "this memory cannot be read, and is 0: " + reference
	}
	return fmt.Sprintf("%s (%s)", text, helper), fmt.Sprintf("%s\nAdditional Info - helper: %s, retcode: %d", reference, helper, returned)
}

// strerror is the text of an error number as C's function of that name has it.
func strerror(number int64) string {
	text := unix.Errno(number).Error()
	if number <= 0 {
		return "Success"
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// mostDumped is how many entries of a map are shown at a time: more than anybody reads.
const mostDumped = 100_000

// clear empties a map.
func (s *Session) clear(name string) error {
	if m := s.maps[name]; m != nil && m.Summed {
		return s.taken.each(s.group, m, true, func([]byte, [][]byte) {})
	}
	return s.group.Clear(name)
}

// dump says what is in a map.
func (s *Session) dump(m *bt.Map, action *bt.Action, top int, divisor int64, final bool) {
	out, left, err := s.read(m, mostDumped, action.Clears)
	if err != nil {
		s.say(Output{Kind: Failure, Text: err.Error()})
		return
	}
	s.rate.charge(len(out.Entries))
	out.Top, out.Divisor = top, divisor
	s.say(Output{Kind: MapDump, Map: out, Keyed: m.Key.Kind != bt.None, Final: final})
	if left > 0 {
		s.say(Output{Kind: Failure, Text: fmt.Sprintf("%s has %d entries more than the %d that are shown", m.Name, left, mostDumped)})
	}
}
