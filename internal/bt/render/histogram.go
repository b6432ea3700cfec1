// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Bucket counts the values from Low up to, but not including, High.
type Bucket struct {
	Low, High int64
	// Below and Above tell of what lies below High, or from Low on.
	Below, Above bool
	Count        uint64
}

// barWidth is how many characters the longest bar has.
const barWidth = 52

// histogram has a line for each bucket, each with a newline.
func (v Value) histogram(divisor int64) string {
	most := uint64(1)
	for _, b := range v.Buckets {
		most = max(most, b.Count)
	}
	var out strings.Builder
	for _, b := range v.Buckets {
		high, low := bits.Mul64(b.Count, barWidth)
		length, _ := bits.Div64(high, low, most)
		fmt.Fprintf(&out, "%-16s%8d |%-*s|\n", v.label(b), b.Count/uint64(divisor), barWidth, strings.Repeat("@", int(length)))
	}
	return out.String()
}

func (v Value) label(b Bucket) string {
	number := shortened
	if !v.Linear {
		number = b.power
	}
	switch {
	case b.Below:
		return "(..., " + number(b.High) + ")"
	case b.Above:
		return "[" + number(b.Low) + ", ...)"
	case b.High == b.Low+1 && !v.Linear:
		return "[" + number(b.Low) + "]"
	}
	return "[" + number(b.Low) + ", " + number(b.High) + ")"
}

var suffixes = [...]string{"", "K", "M", "G", "T", "P", "E"}

// power shortens a limit of a bucket by 1024 as often as the width of the bucket that begins
// there allows, whose part of its power of two is that of this one.
func (b Bucket) power(n int64) string {
	u, width := limit(n), max(limit(b.High)-uint64(b.Low), 1)
	parts := max(bits.Len64(uint64(b.Low)/width)-1, 0)
	shift := max(bits.Len64(u)-1-parts, 0) / 10
	return strconv.FormatUint(u>>(10*shift), 10) + suffixes[shift]
}

// shortened divides by 1024 as often as that leaves no rest.
func shortened(n int64) string {
	i := 0
	for n != 0 && n%1024 == 0 && i < len(suffixes)-1 {
		n /= 1024
		i++
	}
	return strconv.FormatInt(n, 10) + suffixes[i]
}

// Total is how many values a histogram counts.
func (v Value) Total() uint64 {
	total := uint64(0)
	for _, b := range v.Buckets {
		total += b.Count
	}
	return total
}

// limit is a bound of a bucket. That of the last is 2^63, for which the largest number stands.
func limit(n int64) uint64 {
	if n == math.MaxInt64 {
		return 1 << 63
	}
	return uint64(n)
}
