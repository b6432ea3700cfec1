// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math/big"
	"regexp"
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	c, err := Parse("f", []byte("limits: {cpu: 3%, memory: 150MiB}\n"), compiles)
	if err != nil || c.Limits != (Limits{CPU: 0.03, Memory: 150 << 20}) {
		t.Errorf("%+v, %v", c.Limits, err)
	}
	for _, none := range []string{"", "limits:\n", "limits: {cpu: 0%, memory: 0}\n"} {
		if c, err := Parse("f", []byte(none), compiles); err != nil || c.Limits != (Limits{}) {
			t.Errorf("%q: %+v, %v", none, c.Limits, err)
		}
	}
}

// FuzzShare: a share is its digits over 100, as a rational number says, and reads back.
func FuzzShare(f *testing.F) {
	for _, s := range []string{"", "%", "0%", "3%", "0.5%", "150%", "3", "3 %", "-3%", "+3%", ".5%", "5.%", "1e2%", "0x3%", "1_0%", ".%", "1.2.3%", "409600%", "409601%", "٣%", "NaN%", "Inf%",
		strings.Repeat("9", 400) + "%", "0.0000000000000000000000000000000000001%"} {
		f.Add(s)
	}
	written := regexp.MustCompile(`^([0-9]+\.?[0-9]*|\.[0-9]+)%$`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseShare(s)
		if err != nil {
			if written.MatchString(s) && len(s) < 6 {
				t.Fatalf("%q is refused: %v", s, err)
			}
			return
		}
		if !written.MatchString(s) {
			t.Fatalf("%q is taken for %v", s, float64(got))
		}
		want, ok := new(big.Rat).SetString(strings.TrimSuffix(strings.TrimSuffix(s, "%"), "."))
		if !ok {
			t.Fatalf("%q is no number", s)
		}
		exact, _ := want.Quo(want, big.NewRat(100, 1)).Float64()
		if difference := exact - float64(got); difference > exact*1e-12 || difference < -exact*1e-12 {
			t.Errorf("%q is %v, want %v", s, float64(got), exact)
		}
		if back, err := ParseShare(got.String()); err != nil || back < got*0.999999 || back > got*1.000001 {
			t.Errorf("%q is written %s, which reads back as %v, %v", s, got, back, err)
		}
	})
}
