// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"testing"
)

// BenchmarkScript is a script of 500 lines and 60 probes; it has to take less than 300 ms.
func BenchmarkScript(b *testing.B) {
	var programs []*Program
	for seed := range uint64(60) {
		programs = append(programs, newRandom(seed, 8))
	}
	b.ResetTimer()
	slots := 0
	for range b.N {
		slots = 0
		for _, p := range programs {
			code, err := Compile(p, Options{Stack: 1 << 12})
			if err != nil {
				b.Fatal(err)
			}
			slots += code.Stats.Slots
		}
	}
	b.ReportMetric(float64(slots), "slots")
}

// BenchmarkLarge shows how time grows with one function: the time per value should not.
func BenchmarkLarge(b *testing.B) {
	for _, size := range []int{100, 400, 1600} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := newRandom(7, size)
			values := 0
			for _, f := range p.Funcs {
				values += f.values
			}
			b.ResetTimer()
			for range b.N {
				if _, err := Compile(p, Options{Stack: 1 << 15}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(values), "ns/value")
		})
	}
}
