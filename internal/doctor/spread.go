package doctor

import (
	"fmt"
	"math"
	"slices"
)

// A Spread is the distribution of measured times.
type Spread struct {
	Min    Seconds `json:"minSeconds"`
	Median Seconds `json:"medianSeconds"`
	P95    Seconds `json:"p95Seconds"`
	P99    Seconds `json:"p99Seconds"`
	Max    Seconds `json:"maxSeconds"`
}

// spreadOf returns nil if nothing was measured.
func spreadOf(times []Seconds) *Spread {
	if len(times) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(times))
	return &Spread{
		Min: sorted[0], Median: percentile(sorted, 50), P95: percentile(sorted, 95), P99: percentile(sorted, 99), Max: sorted[len(sorted)-1],
	}
}

// percentile returns the smallest measured time that p percent of all do not exceed (the nearest rank).
func percentile(sorted []Seconds, p float64) Seconds {
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// bytesOf writes a size.
func bytesOf(n int64) string {
	switch {
	case n == 1:
		return "1 byte"
	case n < 100_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
