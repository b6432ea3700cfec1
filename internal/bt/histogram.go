// SPDX-License-Identifier: Apache-2.0

package bt

import "math"

// HistogramBucket is the range [low, high) of numbers that a bucket of hist() counts, by its
// index. Bucket 0 counts those below 0: its low is the smallest number. The high of the last
// is the largest number. Bits is Type.Bits: each power of two is 2^bits buckets.
func HistogramBucket(index, bits int) (low, high int64) {
	switch {
	case index <= 0:
		return math.MinInt64, 0
	case index <= 1<<bits:
		return int64(index - 1), int64(index)
	}
	i := index - 1
	shift, part := i>>bits-1, int64(i&(1<<bits-1))
	low = (1<<bits + part) << shift
	if high = low + 1<<shift; high < low {
		high = math.MaxInt64
	}
	return low, high
}
