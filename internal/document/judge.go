package document

import (
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

// A Mark is ✓, ! or ✗.
type Mark = door.Mark

// The marks, from best to worst.
const (
	OK        = door.OK
	Attention = door.Attention
	Failed    = door.Failed
)

// A Judgement ends the output of a command that judges, in JSON and as the last line of its page.
type Judgement struct {
	Mark Mark `json:"mark"`
	// Cause says why, in one line.
	Cause string `json:"cause"`
	// Next is the command to run next, word by word, with every flag that this run was given. It is empty where there
	// is nothing to do.
	Next []string `json:"next"`
}

// NotAuthentication goes with every statement that CloudFront gets in and nobody else does. See
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/restrict-access-to-load-balancer.html
const NotAuthentication = "Any AWS customer's distribution comes from the same addresses: have the origin verify a secret header or a client certificate (origin mTLS) as well."

// Judge returns a judgement.
func Judge(mark Mark, cause string, next ...string) Judgement {
	return Judgement{mark, cause, append([]string{}, next...)}
}

// Marked returns the mark, for [door.Worst].
func (j Judgement) Marked() Mark { return j.Mark }

// Judged returns the judgement of the document that it is part of.
func (j Judgement) Judged() Judgement { return j }

// A Next returns a command of cfsg to run next, with every flag that this run was given, and more.
type Next func(command string, more ...string) []string

// A judge gives marks to the pools and lists of a proposal.
type judge struct {
	*Proposal
	at   *engine.Target
	done bool // all steps were taken
}

// in is a command that works in one region of one account: if there are several, in those of the target.
func (j judge) in(command string, more ...string) []string {
	if len(j.Previews) > 1 {
		others := func(role string) bool { return engine.AccountOf(role) != j.at.Account }
		role := slices.DeleteFunc(engine.Roles(j.Config, j.at.Region), others) // none for the credentials' own account
		more = append([]string{"--region", j.at.Region, "--role-arn", strings.Join(role, "")}, more...)
	}
	return j.Next(command, more...)
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
	at := slices.DeleteFunc(around.subjects(&pool), func(s door.SubjectReport) bool { return s.Interface == nil || s.Mark != Failed })
	worse := func(cause string, next []string) Judgement { // ✗ where it shuts CloudFront out, ! where it does not
		if len(at) == 0 {
			return Judge(Attention, cause, next...)
		}
		var shut []string
		for _, s := range at {
			shut = append(shut, s.Interface.ID)
		}
		return Judge(Failed, fmt.Sprintf("%s at %s: %s", at[0].Cause, words.Few(shut), cause), next...)
	}
	added, removed, one, many, toChange := 0, 0, "rule", "rules", " to revoke or describe again"
	none, whole := "its groups are tagged none", "no rule of its groups is missing"
	for _, step := range pool.Steps {
		added += len(step.Add)
		removed += len(step.Remove) + len(step.Describe)
	}
	if pool.Kind == secgroup.ManagedPrefixList {
		one, many, toChange = "entry", "entries", " to remove"
		none, whole = "it is tagged none", "no entry of it is missing"
	}
	if groups := around.Referring[pool.Name]; len(pool.Ports()) == 0 && len(groups) > 0 {
		toChange += ", but rules refer to it: those of " + words.Few(words.Strings(groups))
	}
	short, isShort := errors.AsType[*secgroup.ShortageError](pool.Err)
	older, isOlder := errors.AsType[*secgroup.OlderError](pool.Err)
	partial := partialPools(pool)
	switch {
	case isShort && !isHeld(pool.Err): // held rules take the room of new ones
		return worse("too small, no room for "+words.CountAs(short.Missing(), one, many), j.whyNot(pool.Err))
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
	case len(at) == 0 && removed > 0:
		return Judge(Attention, words.CountAs(removed, one, many)+toChange, j.Next("apply")...)
	}
	switch {
	case len(at) == 0:
		return j.others(pool, around)
	case len(pool.Ports()) == 0:
		return worse(none, j.check(at))
	}
	return worse(whole, j.check(at))
}

// others says who else gets in at a pool that is up to date, if it can tell.
func (j judge) others(pool secgroup.PoolPlan, around Surroundings) Judgement {
	subjects, unattached := around.subjects(&pool), "up to date, and attached to no network interface"
	if pool.Kind == secgroup.ManagedPrefixList {
		unattached = "up to date, and referred to at no network interface of this account"
	}
	for i, s := range subjects {
		world := s.OpenToWorld(around.Door)
		for _, w := range world {
			if revokes(pool.Steps, w) {
				continue
			}
			next := j.check(subjects[i:])
			if s.Interface != nil && s.Interface.Origin() != nil { // a setup closes it, if CloudFront gets in without it
				next = j.in("setup", append(s.Interface.Origin(), "--port", strings.Join(w.Opens, ","))...)
			}
			return Judge(Attention, "open to the world: "+w.String(), next...)
		}
		if s.Interface == nil {
			continue
		}
		if unattached = "up to date"; s.Mark == Attention && len(world) == 0 {
			return Judge(Attention, fmt.Sprintf("%s: %s", s.Interface.ID, s.Cause), j.check(subjects[i:])...)
		}
	}
	if around.Err != nil {
		return Judge(Attention, "cannot see the network interfaces", j.check(subjects)...)
	}
	return Judge(OK, unattached)
}

// check is the command that shows who gets in at the first of some interfaces or, if there are none, at groups.
func (j judge) check(at []door.SubjectReport) []string {
	var flags []string
	switch {
	case len(at) == 0:
		return j.Next("plan")
	case at[0].Interface == nil:
		for _, g := range at[0].Groups {
			flags = append(flags, "--group", g.ID)
		}
	default:
		if flags = at[0].Interface.Origin(); flags == nil { // a service owns it
			flags = []string{"--interface", at[0].Interface.ID}
		}
	}
	return j.in("check", flags...)
}

// whyNot is the command that shows why something failed: the plan. Where a pool is too small, it is that for the compact
// cover of CloudFront, which needs less room, unless other services are wanted than those of CloudFront.
func (j judge) whyNot(err error) []string {
	_, short := errors.AsType[*secgroup.ShortageError](err)
	if short && slices.Equal(j.Settings.Services, []string{iprange.CloudFront}) {
		return j.Next("plan", "--service", iprange.CloudFrontOriginFacing, "--within", iprange.CloudFront)
	}
	return j.Next("plan")
}

// all returns the worst judgement there is.
func (j judge) all() Judgement {
	interfaces := 0
	var found []Judgement
	var judged [2][]Judgement // of pools and of lists: a list in one place does not hide what a pool shuts out in another
	if d := j.Settings.Disagree(); d != "" {
		found = append(found, Judge(Attention, d, j.Next("plan", j.Settings.Flags()...)...))
	}
	for i, v := range j.Previews {
		around, plan := j.Around[i], j.Next("plan")
		j.at = v.Target
		if v.Err != nil {
			found = append(found, Judge(Failed, hint.Problem(v.Err), plan...))
			continue
		}
		for _, s := range around.subjects(nil) {
			if s.Interface != nil && s.Mark != Failed {
				interfaces++
			}
		}
		if len(around.Stray) > 0 {
			found = append(found, Judge(Attention, around.Stray[0].String(), plan...))
		}
		if around.Err != nil {
			found = append(found, Judge(Attention, "cannot see the network interfaces: "+hint.Problem(around.Err), j.check(around.subjects(nil))...))
		}
		if around.StrayErr != nil || awserr.IsDenied(v.ListsErr) {
			found = append(found, Judge(Attention, "not everything could be seen", plan...))
		}
		if err := v.ListsFailure(); err != nil {
			found = append(found, Judge(Failed, hint.Problem(err), plan...))
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
	text := words.CountAs(groups, "group is", "groups are") + " up to date"
	switch {
	case groups > 0 && lists > 0:
		text = fmt.Sprintf("%s and %s are up to date", words.Count(groups, "group"), words.Count(lists, "prefix list"))
	case lists > 0:
		text = words.CountAs(lists, "prefix list is", "prefix lists are") + " up to date"
	}
	if interfaces > 0 {
		text += fmt.Sprintf(", and CloudFront gets in at %s", words.Count(interfaces, "network interface"))
	}
	return door.Worst(Judge(OK, text), slices.Concat(found, judged[secgroup.SecurityGroup], judged[secgroup.ManagedPrefixList])...)
}

// Surroundings hold the interfaces, groups and tags around the managed groups of a target.
type Surroundings struct {
	Stray    []secgroup.StrayTag
	StrayErr error // why mistyped tags could not be looked for
	// Door judges the network interfaces of the groups, and apart from these the groups that are attached to none.
	Door *door.Report
	// Elsewhere are other network interfaces, with groups that are not managed and open a port to the world.
	Elsewhere []door.Interface
	// Referring are, by the ID of a managed prefix list, the groups with rules that refer to it.
	Referring map[string][]door.GroupID
	// Err says why the network interfaces, and the other groups attached to them, are unknown.
	Err error
}

// subjects returns the state of the network interfaces that have a group of a pool, or one that refers to a prefix list,
// and of groups of the pool that are attached to none; without a pool, of all.
func (s Surroundings) subjects(pool *secgroup.PoolPlan) []door.SubjectReport {
	if s.Door == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Door.Subjects), func(subject door.SubjectReport) bool {
		return pool != nil && !slices.ContainsFunc(subject.Groups, func(g door.GroupID) bool {
			return has(g.ID, *pool) || slices.Contains(s.Referring[pool.Name], g)
		})
	})
}

// has reports whether a holder is in any of some pools.
func has(id string, pools ...secgroup.PoolPlan) bool {
	return slices.ContainsFunc(pools, func(pool secgroup.PoolPlan) bool { return slices.Contains(pool.IDs(), id) })
}

// worldOf returns the rules that open ports which count to the world, at the pools asked for and beside them.
func worldOf(p *engine.Proposal, around []Surroundings) []door.WorldRule {
	rules := []door.WorldRule{}
	for i, v := range p.Previews {
		if around[i].Door == nil {
			continue
		}
		for _, w := range around[i].Door.OpenToWorld {
			if v.Plan == nil || has(w.Group.ID, v.Pools...) || !has(w.Group.ID, v.Plan.Pools...) {
				rules = append(rules, w)
			}
		}
	}
	return rules
}

// revokes reports whether a step takes a rule away.
func revokes(steps []secgroup.Step, w door.WorldRule) bool {
	return slices.ContainsFunc(steps, func(s secgroup.Step) bool {
		return s.HolderID == w.Group.ID && slices.Contains(s.Remove, w.Rule)
	})
}

// A PartialPool says where groups of a pool are not attached along with the others.
type PartialPool struct {
	Pool       string   `json:"pool"`
	Interfaces []string `json:"interfaces"`
	Missing    []string `json:"missing"`
	names      []string // of these groups
}

// partialPools returns where groups of pools are missing.
func partialPools(pools ...secgroup.PoolPlan) []PartialPool {
	partial := []PartialPool{}
	for _, pool := range pools {
		for _, i := range pool.Interfaces {
			here := PartialPool{Pool: pool.Name}
			for _, h := range pool.Holders {
				if len(h.Settings.Ports) > 0 && !slices.Contains(i.Groups, h.ID) {
					here.Missing, here.names = append(here.Missing, h.ID), append(here.names, strings.TrimSpace(h.ID+" "+h.Name))
				}
			}
			if len(here.Missing) == 0 {
				continue
			}
			k := slices.IndexFunc(partial, func(p PartialPool) bool { return p.Pool == pool.Name && slices.Equal(p.Missing, here.Missing) })
			if k < 0 {
				k = len(partial)
				partial = append(partial, here)
			}
			partial[k].Interfaces = append(partial[k].Interfaces, i.ID)
		}
	}
	return partial
}

func (p PartialPool) String() string {
	has, it := "has", "it"
	if len(p.Interfaces) > 1 {
		has, it = "have", "them"
	}
	return fmt.Sprintf("%s %s only part of pool %s, and part of CloudFront may be shut out there: attach %s to %s",
		words.Few(p.Interfaces), has, p.Pool, strings.Join(p.names, ", "), it)
}
