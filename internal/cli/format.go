// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// appendDuration writes a time span in at most two units and six columns:
// 380ns 1.2ms 45.3s 3m20s 2h04m 5d03h.
func appendDuration(dst []byte, d time.Duration) []byte {
	switch {
	case d <= 0:
		return append(dst, '0', 's')
	case d < time.Microsecond:
		return append(strconv.AppendInt(dst, int64(d), 10), "ns"...)
	case d < time.Millisecond:
		return append(appendTenths(dst, float64(d)/1e3), "us"...)
	case d < time.Second:
		return append(appendTenths(dst, float64(d)/1e6), "ms"...)
	case d < time.Minute:
		return append(appendTenths(dst, float64(d)/1e9), 's')
	case d < time.Hour:
		return appendTwo(dst, d, time.Minute, time.Second, "m", 's')
	case d < 24*time.Hour:
		return appendTwo(dst, d, time.Hour, time.Minute, "h", 'm')
	}
	return appendTwo(dst, d, 24*time.Hour, time.Hour, "d", 'h')
}

// appendTenths has one decimal below 100, cut off and not rounded, so that
// 59.99s does not become 60.0s.
func appendTenths(dst []byte, v float64) []byte {
	if v >= 100 {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	tenths := int64(v * 10)
	dst = strconv.AppendInt(dst, tenths/10, 10)
	if tenths%10 == 0 {
		return dst
	}
	return append(dst, '.', byte('0'+tenths%10))
}

func appendTwo(dst []byte, d, big, small time.Duration, bigUnit string, smallUnit byte) []byte {
	dst = append(strconv.AppendInt(dst, int64(d/big), 10), bigUnit...)
	rest := int64(d % big / small)
	dst = append(dst, byte('0'+rest/10), byte('0'+rest%10))
	return append(dst, smallUnit)
}

func formatDuration(d time.Duration) string { return string(appendDuration(nil, d)) }

// formatAge is a duration to whole seconds.
func formatAge(d time.Duration) string { return formatDuration(max(0, d.Truncate(time.Second))) }

// appendBytes writes a size with a binary unit: 512B 1.2KiB 34MiB.
func appendBytes(dst []byte, n uint64) []byte {
	if n < 1024 {
		return append(strconv.AppendUint(dst, n, 10), 'B')
	}
	v, unit := float64(n), -1
	for v >= 1024 && unit < 5 {
		v /= 1024
		unit++
	}
	dst = appendTenths(dst, v)
	return append(dst, "KMGTPE"[unit], 'i', 'B')
}

func formatBytes(n uint64) string { return string(appendBytes(nil, n)) }

// formatCount groups digits: 1,234,567.
func formatCount(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var dst []byte
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, digits[i])
	}
	return string(dst)
}

func formatRate(perSecond float64) string {
	return string(append(appendTenths(nil, max(0, perSecond)), "/s"...))
}

func formatShare(share float64) string {
	return strconv.FormatFloat(share*100, 'f', 2, 64) + "%"
}

// columns is the number of terminal columns of printable text.
func columns(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return n + wideColumns(s[i:])
		}
		n++
	}
	return n
}

func wideColumns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// wide has the blocks whose characters take two columns (the bulk of East
// Asian Width W and F in Unicode's UAX 11).
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x2e80, Hi: 0xa4cf, Stride: 1}, {Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1}, {Lo: 0xfe30, Hi: 0xfe6f, Stride: 1}, {Lo: 0xff00, Hi: 0xff60, Stride: 1}, {Lo: 0xffe0, Hi: 0xffe6, Stride: 1}},
	R32: []unicode.Range32{{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1}, {Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1}},
}

func runeColumns(r rune) int {
	switch {
	case r < utf8.RuneSelf:
		return 1
	case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// fit shortens text to n columns; an ellipsis stands for what is cut.
func (s screen) fit(text string, n int) string {
	if n <= 0 || columns(text) <= n {
		return text
	}
	mark := s.glyph("…", "~")
	used := 0
	for i, r := range text {
		w := runeColumns(r)
		if used+w > n-1 {
			return text[:i] + mark
		}
		used += w
	}
	return text
}

func appendPadded(dst []byte, text string, n int) []byte {
	dst = append(dst, text...)
	return appendSpaces(dst, n-columns(text))
}

func appendSpaces(dst []byte, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, ' ')
	}
	return dst
}
