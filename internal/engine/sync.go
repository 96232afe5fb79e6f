package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"golang.org/x/sync/errgroup"
)

const (
	// maxPlans is how often a target is planned before a conflict with someone else's changes counts as a failure.
	maxPlans = 5
	// staleAfter is the age at which groups described before a long fetch are described again.
	staleAfter = 5 * time.Second
	// firstPause is how long to wait before the groups are described again after a conflict, as describes may lag behind
	// changes. It doubles each time. See https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
	firstPause = time.Second
	// overQuota is EC2's code for a group that already holds as many rules as its quota allows.
	overQuota = "RulesPerSecurityGroupLimitExceeded"
)

// sync makes a target equal to the published ranges, or in a dry run goes through all of that without a change. If
// someone else changes a group meanwhile, it describes and plans again. If EC2 refuses a change of a group for good, it
// leaves that group alone and plans the rest without it.
func (e *Engine) sync(ctx context.Context, tr *targetRun, fetch func() (*iprange.Publication, error), req Request) {
	tr.Target.askedNow, tr.Target.accountErr = false, nil
	err := e.discover(ctx, tr)
	began := time.Now()
	publication, fetchErr := fetch()
	if fetchErr != nil {
		if err != nil {
			tr.fail(err)
		}
		return // the run fails as a whole
	}
	r := &refusals{leave: map[string]error{}}
	pause := cmp.Or(e.pause, firstPause)
	for n := 1; ; n++ {
		if err == nil && time.Since(began) > staleAfter {
			err = e.discover(ctx, tr)
		}
		if err != nil {
			tr.fail(err)
			return
		}
		tr.described = true
		again := e.planAndApply(ctx, tr, publication, req, r)
		if !again || n >= maxPlans || req.Approved != nil && len(r.conflicts) == 0 {
			return
		}
		e.Log.InfoContext(ctx, "re-planning: groups changed or a call was refused", "target", tr.Target.String())
		for {
			if !sleep(ctx, pause) {
				return
			}
			err = e.discover(ctx, tr)
			began = time.Now()
			if err != nil || n >= maxPlans || !r.unexplained(tr.Groups) {
				break
			}
			n++
			pause *= 2
		}
	}
}

// sleep waits, and reports whether there is time left to go on.
func sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d+stepReserve {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// discover describes the tagged groups and prefix lists of a target at the same time, without those that other accounts
// share with it. Lists that cannot be read do not keep groups from being synced.
func (e *Engine) discover(ctx context.Context, tr *targetRun) error {
	t := tr.Target
	tr.Groups, tr.lists = nil, nil // before the new ones take as much memory
	var running errgroup.Group
	running.Go(func() error {
		return e.isolatePanics(ctx, func() (err error) {
			tr.lists, err = secgroup.DiscoverLists(ctx, t.EC2, e.TagKey, t.account(ctx))
			return err
		})
	})
	groups, stray, err := secgroup.Discover(ctx, t.EC2, e.TagKey)
	tr.ListsErr, tr.stray = running.Wait(), stray
	if err == nil {
		tr.Groups, tr.shared, err = t.own(ctx, groups)
	}
	return err
}

// refusals are the steps that failed in a run, so that those which EC2 would refuse again are not tried again.
type refusals struct {
	leave     map[string]error // by ID of a holder: why it is left alone
	conflicts []*stepError     // which describing again may explain
}

// note notes the failure of a step, and reports whether planning again may help: after a conflict, and after a refusal
// for the other holders.
func (r *refusals) note(err error) bool {
	failed, ok := errors.AsType[*stepError](err)
	if !ok {
		return false
	}
	switch {
	case secgroup.IsConflict(err):
		r.conflicts = append(r.conflicts, failed)
		return true
	case secgroup.IsRefusal(err):
		r.leave[failed.step.HolderID] = failed.error
		return failed.step.Kind == secgroup.SecurityGroup
	}
	return false
}

// unexplained reports whether a group that met a conflict is still described as it was, as describes may lag. An
// exceeded quota has nothing to do with stale describes.
func (r *refusals) unexplained(groups []secgroup.Group) bool {
	return slices.ContainsFunc(r.conflicts, func(c *stepError) bool {
		unchanged := func(g secgroup.Group) bool { return c.isAbout(&g) }
		return awserr.Code(c.error) != overQuota && slices.ContainsFunc(groups, unchanged)
	})
}

// repeated leaves the groups alone for which a plan has a step that EC2 has refused already, if the group is still as
// it was. It reports whether there is any.
func (r *refusals) repeated(plan *secgroup.Plan) bool {
	found := false
	for _, c := range r.conflicts {
		unchanged := func(h *secgroup.HolderPlan) bool { return c.isAbout(h.Holder) }
		again := func(seq secgroup.Sequence) bool {
			return slices.ContainsFunc(seq.Holders, unchanged) && slices.ContainsFunc(seq.Steps, c.step.Equal)
		}
		if c.step.Kind == secgroup.SecurityGroup && slices.ContainsFunc(plan.Sequences, again) {
			r.leave[c.step.HolderID], found = c.error, true
		}
	}
	return found
}

// planAndApply plans a target and applies the plan. It reports whether planning again may help.
func (e *Engine) planAndApply(ctx context.Context, tr *targetRun, publication *iprange.Publication, req Request, r *refusals) (again bool) {
	plan, err := e.plan(ctx, tr, publication, req, r)
	// An approval is for one plan. If nothing is left to do, somebody else, such as the function, did the rest.
	approved := req.Approved[tr.Target]
	if err == nil && req.Approved != nil && !plan.Idle() && (approved == nil || !plan.SameSteps(approved)) {
		if len(r.conflicts) > 0 {
			return false // with the errors that there are
		}
		err = ErrOutdated
	}
	tr.restart()
	if err != nil {
		tr.fail(err)
		return false
	}
	tr.note(plan, req.GroupIDs)
	failed := make([][]error, len(plan.Sequences))
	sideBySide(len(failed), sequencesAtOnce, func(i int) {
		seq := plan.Sequences[i]
		crash := e.isolatePanics(ctx, func() error {
			failed[i] = e.apply(ctx, tr, seq, req)
			return nil
		})
		if crash != nil {
			failed[i] = append(failed[i], crash)
			for _, h := range seq.Holders {
				tr.outcome(h).err = crash
			}
		}
	})
	for _, err := range slices.Concat(failed...) {
		tr.fail(err)
		if awserr.Code(err) == overQuota { // the quota is another one
			tr.Target.knownQuota, tr.Target.askedNow = 0, false
		}
		again = r.note(err) || again
	}
	return again
}

// plan plans the groups and prefix lists of a target, except those whose changes EC2 has refused in this run, and plans
// again with what the first plan shows to be needed: the quota if there is something to do, and the network interfaces
// of all groups if something is revoked or the report is to tell what they lack.
func (e *Engine) plan(ctx context.Context, tr *targetRun, publication *iprange.Publication, req Request, r *refusals) (*secgroup.Plan, error) {
	t := tr.Target
	ask := secgroup.Request{
		Stamp: secgroup.Stamp{
			TagKey: e.TagKey, Services: e.Selection.Services, Within: e.Selection.Within, Published: publication.Published,
		},
		Ranges: publication.Merged(), Families: e.Families(), Now: time.Now(),
		RulesPerGroup: t.quota(e.RulesPerGroup), MaxRevokePercent: e.MaxRevokePercent,
		Force: req.Force, GroupIDs: req.GroupIDs, Withdraw: req.Withdraw, Leave: r.leave,
	}
	for {
		plan, err := secgroup.NewPlan(ctx, tr.Groups, ask, tr.lists...)
		if err == nil {
			err = outOfTime(ctx, 0) // a plan that ended early finds no room for what it has not placed
		}
		if err != nil {
			return nil, err
		}
		learned, err := e.learn(ctx, tr, plan, req, &ask)
		if err != nil {
			return nil, err
		}
		if !learned && !r.repeated(plan) {
			offerCompact(plan, publication, t.Region)
			return plan, nil
		}
	}
}

// learn finds out what a plan has to know before it may be applied, and reports whether that changes the question.
func (e *Engine) learn(ctx context.Context, tr *targetRun, plan *secgroup.Plan, req Request, ask *secgroup.Request) (changed bool, err error) {
	t := tr.Target
	// Closing needs no room, so there is no need to ask for the quota.
	if e.RulesPerGroup == 0 && !req.Withdraw && len(tr.Groups) > 0 && (req.AskQuota || !plan.Idle()) {
		if err := t.learnQuota(ctx, plan); err != nil {
			e.Log.WarnContext(ctx, "cannot read the quota of rules per security group, using the default; grant servicequotas:GetServiceQuota or set RULES_PER_GROUP",
				"target", t.String(), "rulesPerGroup", DefaultRulesPerGroup, "error", err)
		}
		changed = t.quota(0) != ask.RulesPerGroup
		ask.RulesPerGroup = t.quota(0)
	}
	if ask.Attachments == nil && !req.Withdraw && len(tr.Groups) > 0 && (req.Look || plan.Revokes()) {
		ids := make([]string, len(tr.Groups))
		for i, g := range tr.Groups {
			ids[i] = g.ID
		}
		if ask.Attachments, err = secgroup.DescribeAttachments(ctx, t.EC2, ids); err != nil {
			return false, err
		}
		for i := range ask.Attachments.Interfaces {
			ask.Attachments.Interfaces[i].Region = t.Region
		}
		changed = true
	}
	return changed, nil
}

// ErrOutdated says that an approved plan is not what would be done now.
var ErrOutdated = hint.New("the security groups have changed since the plan was made: nothing was done here", "plan again")

// offerCompact adds to the errors of pools that are too small how few rules the compact cover needs, and the region.
func offerCompact(plan *secgroup.Plan, p *iprange.Publication, region string) {
	for _, pool := range plan.Pools {
		if short, ok := errors.AsType[*secgroup.ShortageError](pool.Err); ok {
			ipv4, ipv6 := ipspace.Split(p.Compact())
			short.Compact = secgroup.Weight{secgroup.IPv4: len(ipv4), secgroup.IPv6: len(ipv6)}
			short.Region = region
		}
	}
}
