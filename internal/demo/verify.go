package demo

import (
	"fmt"
	"maps"
	"slices"

	"cloudfront-sg-sync/internal/ec2sim"
)

// The calls the function makes.
const (
	describe  = "DescribeSecurityGroups"
	getQuota  = "GetServiceQuota"
	authorize = "AuthorizeSecurityGroupIngress"
	look      = "DescribeNetworkInterfaces" // before anything is revoked
	revoke    = "RevokeSecurityGroupIngress"
)

// An expectation is what the demo has said a run would do.
type expectation struct {
	added, revoked int
	calls          []string
	feed           int // the HTTP status of its answer
}

// verify compares a run and its effects with what they should be: the answer, the calls, the rules of the pool, the
// foreign rules, and all states between.
func (s *story) verify(r *run, d *document, want expectation) error {
	if r.Summary.Added != want.added || r.Summary.Revoked != want.revoked {
		return fmt.Errorf("step %d: %d rules were added and %d revoked, instead of %d and %d",
			s.steps, r.Summary.Added, r.Summary.Revoked, want.added, want.revoked)
	}
	if calls := r.actions(); !slices.Equal(calls, want.calls) {
		return fmt.Errorf("step %d: the function called %v instead of %v", s.steps, calls, want.calls)
	}
	if r.feed != want.feed {
		return fmt.Errorf("step %d: the feed answered %d instead of %d", s.steps, r.feed, want.feed)
	}
	if rules := s.ownedRanges(webPool, webPort); !slices.Equal(rules, d.publication.Merged()) {
		return fmt.Errorf("step %d: the rules are %v instead of %v", s.steps, rules, d.publication.Merged())
	}
	if !sameRules(s.foreign, s.foreignRules()) {
		return fmt.Errorf("step %d: a rule that is not the function's was changed", s.steps)
	}
	_, err := s.witness.verdict()
	return err
}

// rulesNow returns the rules of all groups, by group and id.
func (w *world) rulesNow() map[string]map[string]ec2sim.Rule {
	groups := map[string]map[string]ec2sim.Rule{}
	for _, g := range w.groups.Groups() {
		groups[g.ID] = map[string]ec2sim.Rule{}
		for _, r := range g.Ingress {
			groups[g.ID][r.ID] = r
		}
	}
	return groups
}

// verifyUnchanged fails if a rule of any group is not what it was.
func (s *story) verifyUnchanged(before map[string]map[string]ec2sim.Rule) error {
	if !maps.EqualFunc(before, s.rulesNow(), sameRules) {
		return fmt.Errorf("step %d: a rule was changed, though nothing was to be", s.steps)
	}
	return nil
}
