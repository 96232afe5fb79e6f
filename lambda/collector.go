package main

import (
	"math"
	goruntime "runtime"
	"runtime/debug"
)

const (
	// lateHeap is the memory at which garbage is collected for the first time. A cold run of a few groups ends before
	// that, within 128 MB.
	lateHeap = 24 << 20
	// growth is by how many percent the heap may grow from then on. A run of thousands of groups has to do with the
	// memory that the function has.
	growth = 50
)

// collectLate has no garbage collected in a run that ends before it matters, and has it collected more often than usual
// in one that needs much memory.
func collectLate() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(lateHeap)
	goruntime.AddCleanup(new([64]byte), func(struct{}) { // by the first collection
		debug.SetGCPercent(growth)
		debug.SetMemoryLimit(math.MaxInt64)
	}, struct{}{})
}
