package engine

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// A run keeps of each rule the change, and no more, until its report is made: the plans of a thousand accounts and
// regions would not fit into a function's memory.
func TestRunKeepsOnlyChanges(t *testing.T) {
	const groups, each, most = 100, 60, 200 // bytes of a rule, with what is kept of its group
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, words.Strings(spread(each))...)
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
	_, runs, err := s.run(t.Context(), Request{}, (*targetRun).letGo)
	if err != nil || len(runs[0].errs) > 0 {
		t.Fatal(err, runs[0].errs)
	}
	kept := heap()
	runtime.KeepAlive(runs)
	if kept = (kept - heap()) / (groups * each); kept > most {
		t.Errorf("%d bytes for each rule, more than %d", kept, most)
	}
	runtime.KeepAlive(s)
}

// Beyond as many changes as a notification has room for, a run only counts.
func TestChangesAreBounded(t *testing.T) {
	tr := &targetRun{Preview: Preview{Target: &Target{}}}
	for i := range 3 {
		tr.outcomes = append(tr.outcomes, &outcome{
			plan:    &secgroup.HolderPlan{Holder: &secgroup.Holder{Kind: secgroup.Kind(i % 2)}},
			changes: make([]Change, maxChanges/2),
		})
	}
	var kept atomic.Int64
	tr.settle(func() (*iprange.Publication, error) { return &iprange.Publication{}, nil }, &kept)
	report := NewReport(false)
	report.add(tr)
	all := len(report.Groups[0].Changes) + len(report.Groups[1].Changes) + len(report.PrefixLists[0].Changes)
	counted := report.Summary.Revoked == maxChanges/2*2 && report.Lists().Revoked == maxChanges/2
	if all > maxChanges || all < maxChanges-1 || !counted {
		t.Errorf("%d of %d changes are kept, counted are %+v and %+v", all, maxChanges/2*3, report.Summary, report.Lists())
	}
}
