package engine

import (
	"fmt"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/secgroup"
)

// A preview shows the very steps that a run then takes, and takes none.
func TestPreviewIsWhatRunDoes(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-nowhere-1"}, nil, rangeA, rangeB)
	s.group(s.here, "web", "443")
	s.group(s.here, "bad", "https,")
	s.sim.ResetCalls()
	publication, previews, err := s.Preview(t.Context(), Request{})
	if err != nil || publication.SyncToken != "1790000000" {
		t.Fatalf("publication %+v, error %v", publication, err)
	}
	if n := s.mutations(); n != 0 {
		t.Errorf("a preview makes %d mutating calls", n)
	}
	if previews[1].Err == nil || len(previews[0].Failures(Request{})) == 0 {
		t.Errorf("failures of a region and of a group are not shown: %+v", previews)
	}
	var planned, taken []string
	for _, pool := range previews[0].Plan.Pools {
		for _, step := range pool.Steps {
			planned = append(planned, step.String())
		}
	}
	onStep := func(_ *Target, step secgroup.Step) { taken = append(taken, step.String()) }
	if _, err := s.Run(t.Context(), Request{OnStep: onStep}); err == nil {
		t.Error("a run with a bad tag does not fail")
	}
	if len(taken) == 0 || fmt.Sprint(planned) != fmt.Sprint(taken) {
		t.Errorf("planned %v, took %v", planned, taken)
	}
}
