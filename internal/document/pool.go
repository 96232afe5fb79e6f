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
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// A Next returns a command of cfsg to run next, with every flag that this run was given, and more.
type Next func(command string, more ...string) []string

// A judge gives marks to the pools and lists of a proposal.
type judge struct {
	*Proposal
	done bool // all steps were taken
}

// pool judges a pool of groups, or a prefix list, by its gravest problem: a failure, CloudFront shut out, steps to take,
// or somebody else who gets in.
func (j judge) pool(pool secgroup.PoolPlan, around Surroundings) Judgement {
	for _, h := range pool.Holders {
		if h.Problem != nil {
			return Judge(Failed, fmt.Sprintf("%s: %s", h.ID, hint.Problem(h.Problem)), j.Next("plan")...)
		}
	}
	if j.Settings.Disagree() != "" {
		return Judge(Attention, "made with other settings", j.Next("plan", j.Settings.Flags()...)...)
	}
	var shut []string
	what, check := "", j.Next("status")
	for _, at := range around.interfaces(&pool) {
		if at.Mark != Failed {
			continue
		}
		if origin := at.Interface.Origin(); len(shut) == 0 && origin != nil {
			check = j.Next("check", origin...)
		}
		shut, what = append(shut, at.Interface.ID), cmp.Or(what, at.Cause)
	}
	worse := func(cause string, next []string) Judgement { // ✗ where it shuts CloudFront out, ! where it does not
		if len(shut) == 0 {
			return Judge(Attention, cause, next...)
		}
		return Judge(Failed, fmt.Sprintf("%s at %s: %s", what, words.Few(shut), cause), next...)
	}
	added, removed, one, many, toChange := 0, 0, "rule", "rules", " to revoke or describe again"
	for _, step := range pool.Steps {
		added += len(step.Add)
		removed += len(step.Remove) + len(step.Describe)
	}
	if pool.Kind == secgroup.ManagedPrefixList {
		one, many, toChange = "entry", "entries", " to remove"
	}
	short, isShort := errors.AsType[*secgroup.ShortageError](pool.Err)
	older, isOlder := errors.AsType[*secgroup.OlderError](pool.Err)
	partial := partialPools(pool)
	switch {
	case isShort && !isHeld(pool.Err): // held rules take the room of new ones
		return worse("too small, no room for "+words.CountAs(short.Missing(), one, many), j.roomier())
	case len(partial) > 0:
		return worse("partly attached, "+partial[0].String(), j.Next("plan"))
	case j.done:
	case isOlder: // its ranges are out of date
		return Judge(Attention, fmt.Sprintf("the file is older than these %s, which are from %s", many, older.Newest.UTC().Format(time.DateOnly)), j.Next("plan", "--force")...)
	case isHeld(pool.Err):
		return worse("held, because the published list would close too much at once", j.Next("plan", "--force"))
	case pool.Err != nil:
		return Judge(Failed, hint.Problem(pool.Err), j.Next("plan")...)
	case added > 0:
		return worse(words.CountAs(added, one+" is missing", many+" are missing"), j.Next("apply"))
	case len(shut) == 0 && removed > 0:
		return Judge(Attention, words.CountAs(removed, one, many)+toChange, j.Next("apply")...)
	}
	switch {
	case len(shut) == 0:
		return j.others(pool, around)
	case len(pool.Ports()) == 0:
		return worse("its groups are tagged none", check)
	}
	return worse("no rule of its groups is missing", check)
}

// others says who else gets in at a pool that is up to date, if it can tell.
func (j judge) others(pool secgroup.PoolPlan, around Surroundings) Judgement {
	at := around.interfaces(&pool)
	for _, subject := range at {
		for _, w := range subject.OpenToWorld(around.Door) {
			if !revokes(pool.Steps, w) {
				return Judge(Attention, "open to the world: "+w.String(), j.closing(subject, w)...)
			}
		}
		if subject.Mark == Attention && len(subject.OpenToWorld(around.Door)) == 0 {
			return Judge(Attention, fmt.Sprintf("%s: %s", subject.Interface.ID, subject.Cause), j.Next("status")...)
		}
	}
	if len(at) == 0 && around.Door != nil {
		for _, w := range around.Door.OpenToWorld {
			if slices.Contains(pool.IDs(), w.Group.ID) && !revokes(pool.Steps, w) {
				return Judge(Attention, "open to the world: "+w.String(), j.Next("status")...)
			}
		}
	}
	switch {
	case around.Err != nil:
		return Judge(Attention, "cannot see the network interfaces", j.Next("status")...)
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
		return j.Next("status")
	}
	return j.Next("setup", append(origin, "--port", strings.Join(w.Opens, ","))...)
}

// roomier is the command that shows how a pool gets room: with the compact cover of CloudFront or, if that is wanted
// already, the plan, whose error names the ways.
func (j judge) roomier() []string {
	if slices.Equal(j.Settings.Services, []string{iprange.CloudFront}) {
		return j.Next("plan", "--service", iprange.CloudFrontOriginFacing, "--within", iprange.CloudFront)
	}
	return j.Next("plan")
}

// all returns the worst judgement there is.
func (j judge) all() Judgement {
	interfaces := 0
	var found []Judgement
	var judged [2][]Judgement // of pools and of lists: a list in one place does not hide what a pool shuts out in another
	find := func(mark Mark, cause, command string, more ...string) {
		found = append(found, Judge(mark, cause, j.Next(command, more...)...))
	}
	if d := j.Settings.Disagree(); d != "" {
		find(Attention, d, "plan", j.Settings.Flags()...)
	}
	for i, v := range j.Previews {
		around := j.Around[i]
		if v.Err != nil {
			find(Failed, hint.Problem(v.Err), "status")
			continue
		}
		for _, at := range around.interfaces(nil) {
			if at.Mark != Failed {
				interfaces++
			}
		}
		if len(around.Stray) > 0 {
			find(Attention, around.Stray[0].String(), "status")
		}
		if around.Err != nil {
			find(Attention, "cannot see the network interfaces: "+hint.Problem(around.Err), "status")
		}
		if around.StrayErr != nil || awserr.IsDenied(v.ListsErr) {
			find(Attention, "not everything could be seen", "status")
		}
		if v.ListsErr != nil && !awserr.IsDenied(v.ListsErr) {
			find(Failed, hint.Problem(v.ListsErr), "status")
		}
		for _, pool := range slices.Concat(v.Pools, v.Lists) {
			one := j.pool(pool, around)
			if !strings.HasPrefix(one.Cause, pool.Name+": ") {
				one.Cause = pool.Name + ": " + one.Cause
			}
			judged[pool.Kind] = append(judged[pool.Kind], one)
		}
	}
	groups, lists := j.Report.Summary.Groups, j.Report.Lists().Groups
	text := "nothing is managed here"
	switch {
	case groups > 0 && lists > 0:
		text = fmt.Sprintf("%s and %s are up to date", words.Count(groups, "group"), words.Count(lists, "prefix list"))
	case groups > 0:
		text = words.CountAs(groups, "group is", "groups are") + " up to date"
	case lists > 0:
		text = words.CountAs(lists, "prefix list is", "prefix lists are") + " up to date"
	}
	if interfaces > 0 {
		text += fmt.Sprintf(", and CloudFront gets in at %s", words.Count(interfaces, "network interface"))
	}
	return door.Worst(Judge(OK, text), slices.Concat(found, judged[secgroup.SecurityGroup], judged[secgroup.ManagedPrefixList])...)
}
