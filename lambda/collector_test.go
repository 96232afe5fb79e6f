package main

import (
	"runtime/debug"
	"testing"
	"time"
)

// TestCollectLate lets garbage grow to the memory of a small run and beyond it.
func TestCollectLate(t *testing.T) {
	collections := func() int64 {
		var s debug.GCStats
		debug.ReadGCStats(&s)
		return s.NumGC
	}
	debug.FreeOSMemory() // what other tests have left
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	collectLate()
	before := collections()
	garbage(6 << 20)
	if n := collections() - before; n > 0 {
		t.Errorf("%d collections in a small run", n)
	}
	garbage(2 * lateHeap)
	for deadline := time.Now().Add(10 * time.Second); debug.SetGCPercent(-1) != growth; {
		if time.Now().After(deadline) {
			t.Fatal("a large run collects as late as a small one")
		}
		garbage(lateHeap)
		time.Sleep(time.Millisecond)
	}
}

var kept []byte

// garbage allocates and forgets.
func garbage(size int) {
	for range size >> 10 {
		kept = make([]byte, 1<<10)
	}
}
