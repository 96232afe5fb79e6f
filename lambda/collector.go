package main

import (
	"math"
	goruntime "runtime"
	"runtime/debug"
)

const (
	// lateHeap is the heap size at the first garbage collection. A cold run of a few groups stays below it, and within
	// 128 MB.
	lateHeap = 24 << 20
	// growth is the percentage by which the heap may grow from then on: a run of thousands of groups has to fit into the
	// function's memory.
	growth = 50
)

// collectLate turns garbage collection off in short runs, and makes it more frequent than usual in runs that need much
// memory.
func collectLate() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(lateHeap)
	goruntime.AddCleanup(new([64]byte), func(struct{}) { // at the first collection
		debug.SetGCPercent(growth)
		debug.SetMemoryLimit(math.MaxInt64)
	}, struct{}{})
}
