// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
)

// aggregate makes one value of what each CPU has of it.
func (d *decoder) aggregate(t bt.Type, values [][]byte) render.Value {
	switch t.Kind {
	case bt.CountOf, bt.SumOf:
		n := int64(0)
		for _, v := range values {
			n += number(v, 8, true)
		}
		if t.Kind == bt.SumOf && t.Signed {
			return render.Value{Kind: render.Integer, Int: n}
		}
		return render.Value{Kind: render.Unsigned, Int: n}
	case bt.MinOf, bt.MaxOf:
		return extreme(t, values)
	case bt.AvgOf, bt.StatsOf:
		return average(t, values)
	case bt.HistogramOf, bt.LinearHistogramOf:
		return d.histogram(t, values)
	}
	if len(values) == 0 {
		return render.Value{}
	}
	return d.value(t, values[0])
}

// extreme is the smallest or largest of what those CPUs have seen that have seen anything.
func extreme(t bt.Type, values [][]byte) render.Value {
	out := render.Value{Kind: render.Unsigned}
	if t.Signed {
		out.Kind = render.Integer
	}
	seen := false
	for _, v := range values {
		n := number(v, 8, true)
		if number(at(v, 8), 8, false) == 0 {
			continue
		}
		less := n < out.Int
		if !t.Signed {
			less = uint64(n) < uint64(out.Int)
		}
		if !seen || less == (t.Kind == bt.MinOf) {
			out.Int = n
		}
		seen = true
	}
	return out
}

func average(t bt.Type, values [][]byte) render.Value {
	total, count := int64(0), uint64(0)
	for _, v := range values {
		total += number(v, 8, true)
		count += uint64(number(at(v, 8), 8, false))
	}
	if t.Kind == bt.StatsOf {
		return render.Value{Kind: render.Stats, Int: total, Count: count}
	}
	if count > 0 {
		total /= int64(count)
	}
	return render.Value{Kind: render.Average, Int: total, Count: count}
}

// histogram has the buckets from the first to the last that is not empty; if the decoder is
// to, from the first that there can be.
func (d *decoder) histogram(t bt.Type, values [][]byte) render.Value {
	out := render.Value{Kind: render.Histogram, Linear: t.Kind == bt.LinearHistogramOf}
	var counts []uint64
	for _, v := range values {
		for i := range len(v) / 8 {
			if i == len(counts) {
				counts = append(counts, 0)
			}
			counts[i] += uint64(number(v[8*i:], 8, false))
		}
	}
	first, last := -1, -1
	for i, n := range counts {
		if n > 0 {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if d.whole {
		first = 0
	}
	for i := first; i >= 0 && i <= last; i++ {
		b := bucket(t, i, len(counts))
		b.Count = counts[i]
		out.Buckets = append(out.Buckets, b)
	}
	return out
}

func bucket(t bt.Type, i, n int) render.Bucket {
	if t.Kind == bt.HistogramOf {
		low, high := bt.HistogramBucket(i, t.Bits)
		return render.Bucket{Low: low, High: high, Below: i == 0}
	}
	low := t.Min + int64(i-1)*t.Step
	if i == 0 {
		return render.Bucket{High: t.Min, Below: true}
	}
	if low >= t.Max || i == n-1 {
		return render.Bucket{Low: t.Max, Above: true}
	}
	return render.Bucket{Low: low, High: low + t.Step}
}
