// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// CommonOptions are those of every tool, as a request has them beside its process, its
// container and its time.
type CommonOptions struct {
	Comm string
	UID  *uint32
	// Interval is how often maps are printed and cleared. 0: as the tool itself does.
	Interval time.Duration
	// Top is how many entries of a map are shown, the greatest. 0: as the tool itself does.
	Top int
}

// Bounds of the common options.
const (
	LongestComm   = 15 // bytes: the kernel keeps no more
	ShortInterval = 10 * time.Millisecond
	LongInterval  = 24 * time.Hour
	MostTop       = 1 << 20
)

// ParseOptions reads the common options by their names. An error names the option.
func ParseOptions(given map[string]string) (CommonOptions, error) {
	var o CommonOptions
	for name, value := range given {
		if err := o.set(name, value); err != nil {
			return o, fmt.Errorf("option %s %q: %w", name, value, err)
		}
	}
	return o, nil
}

func (o *CommonOptions) set(name, value string) error {
	switch name {
	case "comm":
		if value == "" || len(value) > LongestComm || strings.Contains(value, "\x00") {
			return fmt.Errorf("must have 1 to %d bytes, as the kernel keeps no more of a name", LongestComm)
		}
		o.Comm = value
	case "uid":
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return fmt.Errorf("must be the number of a user")
		}
		uid := uint32(n)
		o.UID = &uid
	case "interval":
		d, err := time.ParseDuration(value)
		if err != nil || d < ShortInterval || d > LongInterval {
			return fmt.Errorf("must be a time from %v to %v, such as 5s", ShortInterval, LongInterval)
		}
		o.Interval = d
	case "top":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > MostTop {
			return fmt.Errorf("must be a number from 1 to %d", MostTop)
		}
		o.Top = n
	default:
		return fmt.Errorf("no tool has it")
	}
	return nil
}

// Arguments are the parameters of the script, with the defaults of those that are not given.
func (t *Tool) Arguments(given []string) ([]string, error) {
	if len(given) > len(t.Options) {
		return nil, fmt.Errorf("run tool %s: it takes %d arguments, not %d", t.Name, len(t.Options), len(given))
	}
	args := make([]string, len(t.Options))
	for i, o := range t.Options {
		switch {
		case i < len(given):
			args[i] = given[i]
		case o.Required:
			return nil, fmt.Errorf("run tool %s: it needs %s: %s", t.Name, o.Name, o.Text)
		default:
			args[i] = o.Default
		}
		if _, err := strconv.ParseInt(args[i], 0, 64); o.Type == "int" && err != nil {
			return nil, fmt.Errorf("run tool %s: %s %q: must be a whole number", t.Name, o.Name, args[i])
		}
	}
	return args, nil
}
