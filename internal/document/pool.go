package document

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// A Next returns a command of cfsg to run next, with every flag that this run was given, and more.
type Next func(command string, more ...string) []string

// A judge gives marks to the pools and lists of a proposal.
type judge struct {
	settings Settings
	next     Next
	done     bool // all steps were taken
}

// pool judges a pool by its gravest problem: a failure, CloudFront shut out, steps to take, or somebody else who gets
// in.
func (j judge) pool(pool secgroup.PoolPlan, around Surroundings, partial []PartialPool) Judgement {
	var shut []string
	what, check := "", j.next("status")
	for _, at := range around.interfaces(&pool) {
		if at.Mark != Failed {
			continue
		}
		if origin := at.Interface.Origin(); len(shut) == 0 && origin != nil {
			check = j.next("check", origin...)
		}
		shut, what = append(shut, at.Interface.ID), cmp.Or(what, at.Cause)
	}
	worse := func(cause string, next []string) Judgement { // ✗ where it shuts CloudFront out, ! where it does not
		if len(shut) == 0 {
			return Judge(Attention, cause, next...)
		}
		return Judge(Failed, fmt.Sprintf("%s at %s: %s", what, words.Few(shut), cause), next...)
	}
	for _, h := range pool.Holders {
		if h.Problem != nil {
			return Judge(Failed, fmt.Sprintf("%s: %s", h.ID, hint.Problem(h.Problem)), j.next("status")...)
		}
	}
	if j.settings.Disagree() != "" {
		return Judge(Attention, "made with other settings", j.next("plan", j.settings.Flags()...)...)
	}
	if short, ok := errors.AsType[*secgroup.ShortageError](pool.Err); ok {
		return worse(fmt.Sprintf("too small, no room for %s", words.Count(short.Missing(), "rule")), j.roomier())
	}
	if i := slices.IndexFunc(partial, func(p PartialPool) bool { return p.Pool == pool.Name }); i >= 0 {
		return worse("partly attached, "+partial[i].String(), j.next("plan"))
	}
	inPlace := "no rule of its groups is missing"
	if len(pool.Ports()) == 0 {
		inPlace = "its groups are tagged none"
	}
	switch {
	case j.done && len(shut) > 0:
		return worse(inPlace, check)
	case j.done:
		return j.others(pool, around)
	}
	added, revoked := 0, 0
	for _, step := range pool.Steps {
		added += len(step.Add)
		revoked += len(step.Remove) + len(step.Describe)
	}
	older, isOlder := errors.AsType[*secgroup.OlderError](pool.Err)
	switch {
	case isOlder: // its ranges are out of date
		return Judge(Attention, fmt.Sprintf("the file is older than these rules, which are from %s", older.Newest.UTC().Format(time.DateOnly)), j.next("plan", "--force")...)
	case isHeld(pool.Err):
		return worse("held, because the published list would close too much at once", j.next("plan", "--force"))
	case pool.Err != nil:
		return Judge(Failed, hint.Problem(pool.Err), j.next("status")...)
	case added > 0:
		return worse(words.CountAs(added, "rule is missing", "rules are missing"), j.next("apply"))
	case len(shut) > 0:
		return worse(inPlace, check)
	case len(pool.Steps) > 0:
		return Judge(Attention, fmt.Sprintf("%s to revoke or describe again", words.CountAs(revoked, "rule", "rules")), j.next("apply")...)
	}
	return j.others(pool, around)
}

// others says who else gets in at a pool that is up to date, if it can tell.
func (j judge) others(pool secgroup.PoolPlan, around Surroundings) Judgement {
	at := around.interfaces(&pool)
	for _, subject := range at {
		for _, w := range subject.OpenToWorld(around.Door) {
			if !revokes(pool, w) {
				return Judge(Attention, "open to the world: "+w.String(), j.closing(subject, w)...)
			}
		}
		if subject.Mark == Attention && len(subject.OpenToWorld(around.Door)) == 0 {
			return Judge(Attention, fmt.Sprintf("%s: %s", subject.Interface.ID, subject.Cause), j.next("status")...)
		}
	}
	if len(at) == 0 && around.Door != nil {
		for _, w := range around.Door.OpenToWorld {
			if slices.Contains(pool.IDs(), w.Group.ID) && !revokes(pool, w) {
				return Judge(Attention, "open to the world: "+w.String(), j.next("status")...)
			}
		}
	}
	switch {
	case around.Err != nil:
		return Judge(Attention, "cannot see the network interfaces", j.next("status")...)
	case len(at) == 0:
		return Judge(OK, "up to date, and attached to no network interface")
	}
	return Judge(OK, "up to date")
}

// closing is the command that closes a rule which is open to the world, if CloudFront gets in without it: a setup of
// the origin that it was found at.
func (j judge) closing(subject door.SubjectReport, w door.WorldRule) []string {
	origin := subject.Interface.Origin()
	if origin == nil {
		return j.next("status")
	}
	return j.next("setup", append(origin, "--port", strings.Join(w.Opens, ","))...)
}

// roomier is the command that shows how a pool gets room: with the compact cover of CloudFront or, if that is wanted
// already, the plan, whose error names the ways.
func (j judge) roomier() []string {
	if slices.Equal(j.settings.Services, []string{iprange.CloudFront}) {
		return j.next("plan", "--service", iprange.CloudFrontOriginFacing, "--within", iprange.CloudFront)
	}
	return j.next("plan")
}

// all returns the worst judgement there is.
func (j judge) all(p *engine.Proposal, around []Surroundings) Judgement {
	interfaces := 0
	var found, pools []Judgement
	find := func(mark Mark, cause, command string, more ...string) {
		found = append(found, Judge(mark, cause, j.next(command, more...)...))
	}
	if d := j.settings.Disagree(); d != "" {
		find(Attention, d, "plan", j.settings.Flags()...)
	}
	for i, v := range p.Previews {
		if v.Err != nil {
			find(Failed, hint.Problem(v.Err), "status")
			continue
		}
		for _, at := range around[i].interfaces(nil) {
			if at.Mark != Failed {
				interfaces++
			}
		}
		if len(around[i].Stray) > 0 {
			find(Attention, around[i].Stray[0].String(), "status")
		}
		if err := around[i].Err; err != nil {
			find(Attention, "cannot see the network interfaces: "+hint.Problem(err), "status")
		}
		if around[i].StrayErr != nil || awserr.IsDenied(v.ListsErr) {
			find(Attention, "not everything could be seen", "status")
		}
		if v.ListsErr != nil && !awserr.IsDenied(v.ListsErr) {
			find(Failed, hint.Problem(v.ListsErr), "status")
		}
		for _, list := range v.Lists {
			if isHeld(list.Err) {
				find(Attention, list.Name+": held, because the published list would close too much at once", "plan", "--force")
			}
		}
		for _, pool := range v.Pools {
			judged := j.pool(pool, around[i], partialPools(v))
			if !strings.HasPrefix(judged.Cause, pool.Name+": ") {
				judged.Cause = pool.Name + ": " + judged.Cause
			}
			pools = append(pools, judged)
		}
	}
	groups, lists := p.Report.Summary.Groups, p.Report.Lists()
	if lists.Failed > 0 {
		find(Attention, words.CountAs(lists.Failed, "prefix list is", "prefix lists are")+" not up to date", "plan")
	} else if lists.Changed > 0 && !j.done {
		find(Attention, fmt.Sprintf("%s to change", words.Count(lists.Changed, "prefix list")), "apply")
	}
	text := "nothing is managed here"
	switch {
	case groups > 0 && lists.Lists > 0:
		text = fmt.Sprintf("%s and %s are up to date", words.Count(groups, "group"), words.Count(lists.Lists, "prefix list"))
	case groups > 0:
		text = words.CountAs(groups, "group is", "groups are") + " up to date"
	case lists.Lists > 0:
		text = words.CountAs(lists.Lists, "prefix list is", "prefix lists are") + " up to date"
	}
	if interfaces > 0 {
		text += fmt.Sprintf(", and CloudFront gets in at %s", words.Count(interfaces, "network interface"))
	}
	return door.Worst(Judge(OK, text), append(found, pools...)...)
}
