package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"golang.org/x/sync/errgroup"
)

// A Preview is what a run would do in one target, step by step.
type Preview struct {
	Target *Target
	// Groups are the tagged groups as they are.
	Groups []secgroup.Group
	// Plan is nil if Err says why there is none.
	Plan *secgroup.Plan
	Err  error
	// Pools and Lists are those of the plan that have a group or list asked for.
	Pools, Lists []secgroup.PoolPlan
	// RulesPerGroup is the quota that the plan assumes. It is the default if Service Quotas gave no answer; QuotaErr
	// says why.
	RulesPerGroup int
	QuotaErr      error

	// ListsErr says why no prefix list was found; without the permission to look for them, that is no failure.
	ListsErr error

	planned  []secgroup.Holder // by the last plan
	warnings []string          // of it
	errs     []error
}

// listsFailure returns why lists cannot be synced. Without the permission to look for them, those who only have groups
// are warned.
func (v *Preview) listsFailure() error {
	if awserr.IsDenied(v.ListsErr) {
		return nil
	}
	return v.ListsErr
}

// A Proposal is what a run would do, and what a person should know before it does.
type Proposal struct {
	Request     Request
	Publication *iprange.Publication
	Previews    []Preview // one for each target
	Report      *Report
	// The others are the engine's.
	Services, Within []string
	Families         []secgroup.Family
	TagKey           string
}

// Propose plans what a request asks for and changes nothing: it is a run without the calls. It fails as [Engine.Run]
// does if there are no ranges to plan with, or no group with an ID asked for; other failures are in the proposal.
func (e *Engine) Propose(ctx context.Context, req Request) (*Proposal, error) {
	dry := req
	dry.DryRun, dry.AskQuota = true, true
	publication, runs, err := e.run(ctx, dry)
	if err == nil {
		err = errors.Join(e.unknownGroups(req.GroupIDs, runs)...)
	}
	if err != nil {
		return nil, err
	}
	p := &Proposal{req, publication, nil, NewReport(true), e.Services, e.Within, e.Families, e.TagKey}
	for _, tr := range runs {
		v := tr.Preview
		if v.Plan == nil {
			v.Err = errors.Join(tr.errs...)
		}
		v.RulesPerGroup = tr.Target.quota(e.RulesPerGroup)
		p.Previews = append(p.Previews, v)
		p.Report.add(tr)
	}
	return p, nil
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

// Steps returns the steps of all targets.
func (p *Proposal) Steps() (steps []secgroup.Step) {
	for _, v := range p.Previews {
		for _, pool := range slices.Concat(v.Pools, v.Lists) {
			steps = append(steps, pool.Steps...)
		}
	}
	return steps
}

// Count returns the number of steps.
func (p *Proposal) Count() int { return len(p.Steps()) }

// Failures returns what a run on the same request would fail with before it takes a step.
func (p *Proposal) Failures() []error {
	var errs []error
	for _, v := range p.Previews {
		errs = append(errs, v.errs...)
	}
	return oncePerRole(errs)
}

// Warnings returns what needs a person although it does not fail: at the network interfaces and prefix lists, and what
// could not be seen.
func (p *Proposal) Warnings() []string {
	warnings := []string{}
	for _, v := range p.Previews {
		warnings = append(warnings, v.warnings...)
		if v.QuotaErr != nil {
			warnings = append(warnings, fmt.Sprintf("%v: cannot read the quota of rules per group, assuming %d; grant servicequotas:GetServiceQuota or use --rules-per-group (%v)",
				v.Target, v.RulesPerGroup, v.QuotaErr))
		}
	}
	return warnings
}

// Untagged returns an error if there is nothing to work on in any target. It names the tags that were meant for this
// tool.
func (p *Proposal) Untagged(ctx context.Context) error {
	var places []string
	for _, v := range p.Previews {
		if v.Err == nil && len(v.Groups) == 0 && len(v.Lists) == 0 && v.listsFailure() == nil {
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
