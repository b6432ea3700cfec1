// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/skep-io/skep/internal/bt/render"
)

// spans are units of time.
var spans = map[string]time.Duration{"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond}

// shownAs is a value in the unit of its type for people. What a number stands for has been
// put in its place by the agent.
func shownAs(of string, v render.Value) string {
	n, isNumber := number(v)
	switch {
	case v.Kind == render.Bool:
		return map[bool]string{true: "yes", false: "no"}[v.Int != 0]
	case v.Kind == render.Enum && v.Int == 0 && v.Text == "": // no error, no signal
		return "-"
	case !isNumber:
		return oneLine(v)
	case n < 0 && v.Kind != render.Unsigned:
		return strconv.FormatInt(n, 10)
	case spans[of] != 0 && n < int64(1<<62/spans[of]):
		return formatDuration(time.Duration(n) * spans[of])
	case of == "bytes":
		return formatBytes(uint64(n))
	case of == "kib":
		return formatBytes(uint64(n) << 10)
	case of == "count":
		return formatCount(uint64(n))
	}
	return oneLine(v)
}

// number is the value of what counts or measures something.
func number(v render.Value) (int64, bool) {
	return v.Int, v.Kind == render.Integer || v.Kind == render.Unsigned || v.Kind == render.Average
}

// jsonFields is an object with a member for each value. What a number stands for is a member
// of its own, NAME_name.
func jsonFields(names []string, values []render.Value) []byte {
	data := []byte{'{'}
	member := func(name string) {
		if len(data) > 1 {
			data = append(data, ", "...)
		}
		data = append(render.AppendText(data, name), ": "...)
	}
	for i, v := range values {
		member(names[i])
		switch v.Kind {
		case render.Pointer: // more than a double holds
			data = render.AppendText(data, v.String())
		case render.Stack:
			data = appendFrames(data, v)
		default:
			data = v.AppendJSON(data)
		}
		if v.Kind == render.Enum && v.Text != "" {
			member(names[i] + "_name")
			data = render.AppendText(data, v.Text)
		}
	}
	return append(data, '}')
}

// appendFrames is a stack as a list, the innermost frame first.
func appendFrames(data []byte, v render.Value) []byte {
	data = append(data, '[')
	for i, frame := range v.Frames {
		if i > 0 {
			data = append(data, ", "...)
		}
		one := render.Value{Kind: render.Stack, Frames: []render.Frame{frame}, Form: v.Form}
		data = render.AppendText(data, strings.TrimSpace(one.String()))
	}
	return append(data, ']')
}
