// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written 16MiB.
type Size uint64

var errSize = errors.New("a size such as 65536, 512KiB, 16MiB or 1GiB")

var sizeUnits = []struct {
	name  string
	shift uint
}{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}, {"", 0}}

// ParseSize reads a whole number with B, KiB, MiB, GiB, TiB or no unit.
func ParseSize(s string) (Size, error) {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 64)
		if err != nil || n > math.MaxInt64>>u.shift {
			return 0, errSize
		}
		return Size(n << u.shift), nil
	}
	return 0, errSize
}

// String is the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits[:4] {
		if s != 0 && s%(1<<u.shift) == 0 {
			return fmt.Sprintf("%d%s", uint64(s)>>u.shift, u.name)
		}
	}
	return fmt.Sprintf("%d", uint64(s))
}
