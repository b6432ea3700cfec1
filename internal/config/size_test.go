// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math"
	"math/big"
	"strings"
	"testing"
)

// FuzzSize: a size is its number times its unit, whatever that comes to, and reads back.
func FuzzSize(f *testing.F) {
	for _, s := range []string{"", "0", "1", "16MiB", "16 MiB", "16MB", "-1", "+1", "1.5GiB", "8388607TiB", "8388608TiB", "9223372036854775807", "9223372036854775808B",
		"18446744073709551615TiB", "1e3", "0x10", "1_000", "KiB", " 1", "1  KiB", "١"} {
		f.Add(s)
	}
	powers := map[string]uint{"TiB": 40, "GiB": 30, "MiB": 20, "KiB": 10, "B": 0, "": 0}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseSize(s)
		digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
		power, isUnit := powers[strings.TrimPrefix(s[len(digits):], " ")]
		want, isNumber := new(big.Int).SetString(digits, 10)
		if isNumber {
			want.Lsh(want, power)
		}
		if valid := isNumber && isUnit && want.Cmp(big.NewInt(math.MaxInt64)) <= 0; valid != (err == nil) {
			t.Fatalf("%q: %v, %v", s, got, err)
		} else if !valid {
			return
		}
		if want.Uint64() != uint64(got) {
			t.Errorf("%q is %d, want %v", s, uint64(got), want)
		}
		if back, err := ParseSize(got.String()); err != nil || back != got {
			t.Errorf("%q is written %s, which reads back as %d, %v", s, got, uint64(back), err)
		}
	})
}
