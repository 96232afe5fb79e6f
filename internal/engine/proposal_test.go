package engine

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/secgroup"
)

// A proposal shows the very steps that a run then takes, counts what the run then reports, and takes no step.
func TestProposalIsWhatRunDoes(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-nowhere-1"}, nil, rangeA, rangeB)
	s.group(s.here, "web", "443")
	s.group(s.here, "bad", "https,")
	s.sim.ResetCalls()
	s.list(s.here, "ranges", 5)
	p, err := s.Propose(t.Context(), Request{})
	if err != nil || p.Publication.SyncToken != "1790000000" {
		t.Fatalf("proposal %+v, error %v", p, err)
	}
	if n := s.mutations(); n != 0 {
		t.Errorf("a proposal makes %d mutating calls", n)
	}
	if p.Previews[1].Err == nil || len(p.Failures()) != 2 {
		t.Errorf("failures of a region and of a group are not shown: %v", p.Failures())
	}
	var planned, taken []string
	for step := range p.Steps() {
		planned = append(planned, step.String())
	}
	req := p.Approved()
	var mu sync.Mutex // groups and lists change side by side
	req.OnStep = func(_ *Target, step secgroup.Step) {
		mu.Lock()
		defer mu.Unlock()
		taken = append(taken, step.String())
	}
	report, err := s.Run(t.Context(), req)
	slices.Sort(planned)
	slices.Sort(taken)
	if err == nil {
		t.Error("a run with a bad tag does not fail")
	}
	if len(planned) != 2 || p.Count() != len(planned) || fmt.Sprint(planned) != fmt.Sprint(taken) {
		t.Errorf("planned %v, took %v", planned, taken)
	}
	if p.Summary() != report.Summary || p.Lists() != report.Lists() {
		t.Errorf("proposed %+v and %+v, reported %+v and %+v", p.Summary(), p.Lists(), report.Summary, report.Lists())
	}
}
