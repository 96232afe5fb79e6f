package engine

import (
	"fmt"
	"runtime"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// What a run keeps of each rule until its report is made is the change, and no more: the plans of a thousand accounts and
// regions are kept at a time.
func TestRunKeepsOnlyChanges(t *testing.T) {
	const groups, each, most = 100, 60, 200 // bytes of a rule, with what is kept of its group
	var ranges []string
	for i := range each {
		ranges = append(ranges, fmt.Sprintf("52.%d.0.0/16", 2*i))
	}
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, ranges...)
	for i := range groups {
		s.group(s.here, fmt.Sprint("web", i), "443")
	}
	heap := func() int {
		var m runtime.MemStats
		for range 3 { // pools keep what they hold for two
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	_, runs, err := s.run(t.Context(), Request{})
	if err != nil || len(runs[0].errs) > 0 {
		t.Fatal(err, runs[0].errs)
	}
	kept := heap()
	runtime.KeepAlive(runs)
	runs = nil
	if kept = (kept - heap()) / (groups * each); kept > most {
		t.Errorf("%d bytes for each rule, more than %d", kept, most)
	}
	runtime.KeepAlive(s)
}
