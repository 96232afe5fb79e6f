package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"golang.org/x/sync/errgroup"
)

// A Proposal is what a run would do, and what a person should know before it does.
type Proposal struct {
	Request     Request
	Publication *iprange.Publication
	Previews    []Preview // one for each target
	// The others are the engine's.
	Services, Within []string
	Families         []secgroup.Family
	TagKey           string
}

// Propose plans what a request asks for and changes nothing. It fails as [Engine.Run] does where there are no ranges to
// plan with, or no group with an ID asked for; other failures are in the proposal.
func (e *Engine) Propose(ctx context.Context, req Request) (*Proposal, error) {
	publication, previews, err := e.previews(ctx, req)
	if err != nil {
		return nil, err
	}
	return &Proposal{req, publication, previews, e.Services, e.Within, e.Families, e.TagKey}, nil
}

// Approved returns a request for exactly what is proposed: groups that have changed since are left alone.
func (p *Proposal) Approved() Request {
	req := p.Request
	req.Approved = map[*Target]*secgroup.Plan{}
	for _, v := range p.Previews {
		req.Approved[v.Target] = v.Plan
	}
	return req
}

// Steps yields the steps for the groups of all targets.
func (p *Proposal) Steps() iter.Seq[secgroup.Step] {
	return func(yield func(secgroup.Step) bool) {
		for _, v := range p.Previews {
			for _, pool := range v.Pools {
				for _, step := range pool.Steps {
					if !yield(step) {
						return
					}
				}
			}
		}
	}
}

// Changes yields the changes of the prefix lists of all targets.
func (p *Proposal) Changes() iter.Seq[secgroup.Change] {
	return func(yield func(secgroup.Change) bool) {
		for _, v := range p.Previews {
			for _, pool := range v.Lists {
				for _, c := range pool.Changes {
					if !yield(c) {
						return
					}
				}
			}
		}
	}
}

// Count returns the number of steps and changes.
func (p *Proposal) Count() int {
	n := 0
	for range p.Steps() {
		n++
	}
	for range p.Changes() {
		n++
	}
	return n
}

// Summary counts the groups of all targets, and what becomes of their rules.
func (p *Proposal) Summary() Summary {
	var s Summary
	for _, v := range p.Previews {
		for _, pool := range v.Pools {
			for _, g := range pool.Groups {
				s.Count(g.Added, g.Revoked, g.Err != nil || pool.Err != nil)
			}
		}
	}
	return s
}

// Lists counts the prefix lists of all targets, and what becomes of their entries.
func (p *Proposal) Lists() ListSummary {
	var s ListSummary
	for _, v := range p.Previews {
		for _, pool := range v.Lists {
			for _, l := range pool.Lists {
				s.Lists++
				if l.Err != nil || pool.Err != nil {
					s.Failed++
				}
			}
		}
	}
	changed := map[string]bool{}
	for c := range p.Changes() {
		s.Added += len(c.Added())
		s.Removed += len(c.Removed())
		changed[c.ListID] = true
	}
	s.Changed = len(changed)
	return s
}

// EntryCounts counts the entries that a plan adds to a prefix list and removes from it.
func EntryCounts(pool secgroup.ListPool, listID string) (added, removed int) {
	for _, c := range pool.Changes {
		if c.ListID == listID {
			added += len(c.Added())
			removed += len(c.Removed())
		}
	}
	return added, removed
}

// Failures returns what a run on the same request would fail with before it takes a step.
func (p *Proposal) Failures() []error {
	var errs []error
	for _, v := range p.Previews {
		errs = append(errs, v.failures(p.Request)...)
	}
	return OncePerRole(errs)
}

// Untagged returns an error if there is nothing to work on in any target. It names the tags that were meant for this
// tool.
func (p *Proposal) Untagged(ctx context.Context) error {
	var places []string
	for _, v := range p.Previews {
		if v.Err == nil && len(v.Groups) == 0 && len(v.Lists) == 0 && v.ListsErr == nil {
			places = append(places, v.Target.String())
		}
	}
	if len(places) < len(p.Previews) {
		return nil
	}
	errs := []error{hint.New(
		fmt.Sprintf("no security group is tagged %s in %s", p.TagKey, strings.Join(places, ", ")),
		fmt.Sprintf("tag one: aws ec2 create-tags --region %s --resources sg-… --tags Key=%s,Value=443", p.Previews[0].Target.Region, p.TagKey))}
	found := make([][]secgroup.StrayTag, len(p.Previews))
	var running errgroup.Group
	running.SetLimit(targetsAtOnce)
	for i, v := range p.Previews {
		running.Go(func() error {
			found[i], _ = secgroup.FindStrayTags(ctx, v.Target.EC2, p.TagKey) // without them the error is still true
			return nil
		})
	}
	_ = running.Wait()
	for _, tag := range slices.Concat(found...) {
		errs = append(errs, errors.New(tag.String()))
	}
	return errors.Join(errs...)
}
