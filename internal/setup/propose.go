package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// An Action is the kind of a step.
type Action string

// The actions, in the order in which they are taken.
const (
	toCreate    Action = "create"    // a group or a list, with its tags
	toTag       Action = "tag"       // an existing group, with more ports, or a list
	toSeal      Action = "seal"      // a group, so that it lets nothing out
	toAuthorize Action = "authorize" // the ranges, by a run of the engine
	toFill      Action = "fill"      // prefix lists, by a run of the engine
	toAttach    Action = "attach"    // the groups, along with the existing ones
	toClose     Action = "close"     // a rule that is open to the world
	toDetach    Action = "detach"    // the groups that were created
	toDelete    Action = "delete"    // a group or a list that was created
)

// A Step is one change of an origin.
type Step struct {
	Action Action `json:"action"`
	// On names the group, the list, or the place where groups are attached.
	On string `json:"on"`
	// Detail says how, in words.
	Detail string `json:"detail"`
	Done   bool   `json:"done"`

	place  place
	close  secgroup.Step
	create secgroup.Holder
}

// Propose plans how to let CloudFront in, in addition to everything that exists, and notes what a person needs to know.
// It changes nothing.
func (s *Setup) Propose(ctx context.Context, state *State) ([]Step, error) {
	steps := []Step{}
	if state.vpcOrigin {
		state.Notes = slices.Insert(state.Notes, 0, vpcOrigin)
	}
	if !state.ByList {
		state.note(drift)
	}
	if len(state.Created) == 0 && s.letsIn(s.keptOnly(state.Scene)) {
		state.note("CloudFront already gets in through groups that are kept up to date, so no group is created.")
		return steps, nil
	}
	holders, err := s.holders(state)
	if err != nil {
		return nil, err
	}
	existing, tag := idsOf(ofKind(state.kind, state.Created)), s.tags(state)[0]
	var names []string
	stale := false
	for _, h := range holders {
		names = append(names, h.Name)
		switch {
		case h.ID == "":
			detail := "in " + state.vpc
			if state.ByList {
				detail = fmt.Sprintf("a prefix list of up to %d %s entries, %d of them now", h.MaxEntries, h.Family, s.Rules[h.Family])
			}
			detail += fmt.Sprintf(", tagged %s=%s", *tag.Key, *tag.Value)
			steps = append(steps, Step{Action: toCreate, On: h.Name, Detail: detail, create: h})
			stale = true
		case h.Tags[*tag.Key] != *tag.Value:
			steps = append(steps, Step{Action: toTag, On: h.ID, Detail: *tag.Key + "=" + *tag.Value})
			stale = true
		}
		if !state.ByList && !state.attached(h.ID) {
			steps = append(steps, Step{Action: toSeal, On: h.Name, Detail: "revoke its outbound rules: your own groups decide what may go out"})
		}
	}
	if len(existing) > 0 { // also to refuse what would close
		unsynced, err := s.unsynced(ctx, engine.Request{GroupIDs: existing})
		if err != nil {
			return nil, err
		}
		stale = stale || unsynced
	}
	on := words.Few(names)
	if state.ByList {
		if stale {
			detail := fmt.Sprintf("%d IPv4 and %d IPv6 entries", s.Rules[secgroup.IPv4], s.Rules[secgroup.IPv6])
			steps = append(steps, Step{Action: toFill, On: on, Detail: detail})
		}
		return steps, nil
	}
	if stale {
		ports := words.Ports(secgroup.PortNames(s.allPorts(state)))
		if len(s.allPorts(state)) > 1 {
			ports = "each of the " + ports
		}
		steps = append(steps, Step{Action: toAuthorize, On: on, Detail: s.ruleCount() + " on " + ports})
	}
	for _, p := range state.places {
		if len(existing) < len(holders) || slices.ContainsFunc(existing, func(id string) bool { return !slices.Contains(p.groups, id) }) {
			detail := fmt.Sprintf("%s, along with %s", on, strings.Join(p.others(state), ", "))
			steps = append(steps, Step{Action: toAttach, On: p.name, Detail: detail, place: p})
		}
	}
	return steps, nil
}

// drift tells those who manage the origin with Terraform what the next apply does. See
// https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/security_group
const drift = "Setup cannot see Terraform. If it manages the origin, add the group there too (security_groups, " +
	"vpc_security_group_ids), or the next apply will detach it; inline ingress blocks there will restore a rule that is closed here."

// holders returns the groups or lists through which CloudFront is to get in: those that setups have made, and those to
// create, which have no ID.
func (s *Setup) holders(state *State) ([]secgroup.Holder, error) {
	if state.ByList {
		return s.lists(state)
	}
	holders := ofKind(secgroup.SecurityGroup, state.Created)
	for _, g := range holders {
		if g.VPC != state.vpc {
			return nil, hint.New(fmt.Sprintf("%s %s was created for another %s, in %s and not in %s", g.ID, g.Name, s.Origin, g.VPC, state.vpc),
				"remove it with --undo, and run this again")
		}
	}
	n, err := s.size(state, len(holders))
	for i := 1; len(holders) < n; i++ {
		name := fmt.Sprintf("%s-%s-%d", s.TagKey, s.Origin.Name, i)
		if !slices.ContainsFunc(holders, func(h secgroup.Holder) bool { return h.Name == name }) {
			holders = append(holders, secgroup.Holder{Name: name})
		}
	}
	return holders, err
}

// lists returns a prefix list for each address family, to which the tool that owns the groups refers in rules of its
// own. Those to create have the usual size or, if a group has no room for that, one free entry. It is an error if the
// group that refers to them has no room next to the rules that it has, because those stay until CloudFront gets in by
// the lists.
func (s *Setup) lists(state *State) ([]secgroup.Holder, error) {
	ports, beside := len(s.Ports), s.besides(state)
	if state.owner.tool == kubernetes { // a controller writes a rule for each listener, whichever ports are asked for here
		ports = max(ports, len(state.Listening))
	}
	var sum string
	for _, size := range []func(entries int) int{secgroup.ListSize, func(entries int) int { return entries + 1 }} {
		var holders []secgroup.Holder
		weight := 0
		for _, f := range families {
			if s.Rules[f] == 0 {
				continue
			}
			h := secgroup.Holder{
				Kind: secgroup.ManagedPrefixList, Name: fmt.Sprintf("%s-%s-%s", s.TagKey, s.Origin.Name, strings.ToLower(f.String())),
				Family: f, MaxEntries: size(s.Rules[f]),
			}
			if i := slices.IndexFunc(state.Lists(), func(l secgroup.Holder) bool { return l.Family == f }); i >= 0 {
				h = state.Lists()[i]
			}
			holders, weight = append(holders, h), weight+ports*h.MaxEntries
		}
		sum = fmt.Sprintf("a rule for each list on %s counts as %d rules, next to the %d it has", words.Count(ports, "port"), weight, beside)
		if weight+beside <= s.RulesPerGroup {
			state.note("In each group that refers to the lists, %s, of %d (quota L-0EA8095F), because the size of a list counts, "+
				"not the number of its entries.", sum, s.RulesPerGroup)
			return holders, nil
		}
	}
	ways := "raise quota L-0EA8095F (rules per security group)"
	if !slices.Equal(s.Engine.Selection.Services, []string{"CLOUDFRONT_ORIGIN_FACING"}) || len(s.Engine.Selection.Within) == 0 {
		ways = "let in the compact cover, which needs fewer entries (--service CLOUDFRONT_ORIGIN_FACING --within CLOUDFRONT), or " + ways
	}
	return nil, hint.New(fmt.Sprintf("%s, and a security group of %s can have %d", sum, s.Origin, s.RulesPerGroup), ways)
}

// besides returns how many rules the group that will refer to the lists has already, not counting those that refer to
// them. No tag names that group: setup assumes the one that is open to the world and, of several, the emptiest.
func (s *Setup) besides(state *State) int {
	counts := map[bool][]int{} // by whether the group is open to the world
	for _, g := range state.Scene.Groups() {
		var rules secgroup.Weight
		for _, r := range g.Ingress {
			if state.has(r.Source.Reference) {
				continue
			}
			entries := len(state.Scene.Lists[r.Source.Reference].Ingress)
			rules.Add(secgroup.Rule{RuleID: r.RuleID}.Weighs(), max(1, entries))
		}
		open := len(s.worldOf(g)) > 0
		counts[open] = append(counts[open], slices.Max(rules[:]))
	}
	if len(counts[true]) > 0 {
		return slices.Min(counts[true])
	}
	return slices.Min(counts[false])
}

// others returns the groups of a place that no setup has created.
func (p place) others(state *State) []string {
	return slices.DeleteFunc(slices.Clone(p.groups), state.has)
}

// size returns how many groups to hold the rules in, no fewer than there are. If that many can be attached, each port
// has a free slot, so that a range can be authorized before the one that it replaces is revoked.
func (s *Setup) size(state *State, made int) (int, error) {
	ports, rules, room := len(s.allPorts(state)), slices.Max(s.Rules[:]), s.most()
	groups := func(free int) int {
		return max(1, made, (ports*(rules+free)+s.RulesPerGroup-1)/s.RulesPerGroup)
	}
	for _, p := range state.places {
		room = min(room, s.most()-len(p.others(state)))
	}
	least, best := groups(0), groups(1)
	switch {
	case best <= room:
		return best, nil
	case least <= room:
		state.note("The rules fill %s completely, so a range that is replaced may be closed for a moment.", words.Count(least, "group"))
		return least, nil
	}
	return 0, s.tooMany(state, least)
}

// tooMany says that more groups are needed than can be attached, and what to do about it.
func (s *Setup) tooMany(state *State, need int) error {
	var errs []string
	for _, p := range state.places {
		if others := p.others(state); len(others)+need > s.most() {
			errs = append(errs, fmt.Sprintf("%s has %s of its own (%s) and can have %d in all, but %s to be attached", p.name,
				words.Count(len(others), "security group"), strings.Join(others, ", "), s.most(), words.CountAs(need, "more has", "more have")))
		}
	}
	flags := strings.Join(append([]string{""}, s.Engine.Selection.Services...), " --service ") +
		strings.Join(append([]string{""}, s.Engine.Selection.Within...), " --within ")
	ways := []string{
		"detach a group that is not needed, or move its rules into another first",
		fmt.Sprintf("if no other tool writes to one of these groups and it has room for %s a port, tag it %s=%q, let the "+
			"ranges in with cfsg apply%s, and run this again",
			s.ruleCount(), s.TagKey, strings.Join(secgroup.PortNames(s.allPorts(state)), " "), flags),
	}
	if need > 1 {
		ways = append(ways, "let in the compact cover, which needs fewer rules (--service CLOUDFRONT_ORIGIN_FACING --within CLOUDFRONT)")
	}
	if s.Origin.Kind != LoadBalancer {
		ways = append(ways, "raise quota L-2AFB9258 (security groups per network interface)")
	}
	return hint.New(strings.Join(errs, "; "), strings.Join(ways, "; or "))
}

// unsynced reports whether the groups or lists of a request are not up to date, or the engine cannot tell. It is an
// error if a plan takes away ranges of a family that is not wanted now: CloudFront may connect by it, and gets in
// through the rules of an earlier run.
func (s *Setup) unsynced(ctx context.Context, req engine.Request) (bool, error) {
	p, err := s.Engine.Propose(ctx, req)
	if err != nil {
		return false, err
	}
	for _, step := range p.Steps() {
		for _, r := range step.Remove {
			if f := secgroup.FamilyOf(r.Source.Prefix); r.Source.Prefix.IsValid() && !s.Wants(f) {
				return false, hint.New(fmt.Sprintf("%s lets in %s, but no %[2]s range is wanted now, so this run would close it", step.HolderID, f),
					"ask for both families and for a service that has ranges of both, or undo setup with --undo")
			}
		}
	}
	return len(p.Failures) > 0 || len(p.Steps()) > 0, nil
}

// ProposeUndo plans to detach and delete the groups and lists that setups have created. It changes nothing. If the
// origin is gone, the groups that it left behind are deleted all the same.
func (s *Setup) ProposeUndo(ctx context.Context) (*State, []Step, error) {
	state, err := s.Read(ctx)
	_, noBalancer := errors.AsType[goneError](err)
	_, noInterface := errors.AsType[*door.NotFoundError](err)
	if (noBalancer || noInterface) && len(state.Created) > 0 {
		state.Notes, err = append(state.Notes, s.Origin.String()+" is gone."), nil
	}
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(s.elsewhere(ctx, state), s.referred(ctx, state.Lists())); err != nil {
		return nil, nil, err
	}
	state.ShutOut = s.shutOut(state)
	steps := []Step{}
	for _, p := range state.places {
		here := slices.DeleteFunc(idsOf(state.Created), func(id string) bool { return !slices.Contains(p.groups, id) })
		if len(here) > 0 {
			steps = append(steps, Step{Action: toDetach, On: p.name, Detail: strings.Join(here, ", "), place: p})
		}
	}
	for _, h := range state.Created {
		steps = append(steps, Step{Action: toDelete, On: h.ID, Detail: h.Name})
	}
	return state, steps, nil
}

// elsewhere refuses to undo groups that somebody has attached elsewhere too.
func (s *Setup) elsewhere(ctx context.Context, state *State) error {
	interfaces, err := secgroup.DescribeInterfaces(ctx, s.api(), "group-id", idsOf(ofKind(secgroup.SecurityGroup, state.Created)))
	var more []string
	for _, i := range interfaces {
		if !state.Scene.Has(i.ID) {
			more = append(more, strings.TrimSpace(i.ID+" "+i.Description))
		}
	}
	if len(more) > 0 {
		return hint.New(fmt.Sprintf("the groups of %s are attached to %s as well, which setup of %[1]s did not do: nothing was undone",
			s.Origin, words.Few(more)),
			"detach them there first, once CloudFront gets in through other groups")
	}
	return err
}

// referred refuses to remove lists that groups refer to: those groups would shut out the ranges on the lists, and EC2
// does not delete such a list.
func (s *Setup) referred(ctx context.Context, lists []secgroup.Holder) error {
	for _, l := range lists {
		var groups []string
		for in := (&ec2.GetManagedPrefixListAssociationsInput{PrefixListId: &l.ID}); ; {
			out, err := s.EC2.GetManagedPrefixListAssociations(ctx, in)
			if err != nil {
				return explain(err, "see who refers to prefix list %s", l.ID)
			}
			for _, a := range out.PrefixListAssociations {
				groups = append(groups, aws.ToString(a.ResourceId))
			}
			if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
				break
			}
		}
		if len(groups) > 0 {
			return hint.New(fmt.Sprintf("%s %s is still referred to by %s, so nothing was undone", l.ID, l.Name, words.Few(groups)),
				"first let CloudFront in through other rules, then remove these references where they were made, and run this again")
		}
	}
	return nil
}

// shutOut returns the interfaces at which less gets in without the groups that were created.
func (s *Setup) shutOut(state *State) (ids []string) {
	now := door.Judge(state.Scene, s.Question)
	then := door.Judge(only(state.Scene, func(g secgroup.Group, _ secgroup.Rule) bool { return !state.has(g.ID) }), s.Question)
	for i, subject := range now.Subjects {
		if !slices.Equal(blocked(then.Subjects[i]), blocked(subject)) {
			ids = append(ids, subject.Interface.ID)
		}
	}
	return ids
}

// blocked says what no rule of an interface lets in.
func blocked(subject door.SubjectReport) (all []string) {
	for _, p := range subject.Ports {
		for _, f := range p.Families {
			for _, prefix := range f.Blocked.Prefixes {
				all = append(all, fmt.Sprint(p.Port, prefix))
			}
		}
	}
	return all
}

// letsIn reports whether everything that is wanted gets in at every interface.
func (s *Setup) letsIn(scene *door.Scene) bool {
	return door.Judge(scene, s.Question).Verdict == door.Open
}

// keptOnly returns a scene with only those rules that are kept up to date: this tool's own on the ports that the tag of
// their group lists, and those that refer to AWS's prefix lists or to tagged ones.
func (s *Setup) keptOnly(scene *door.Scene) *door.Scene {
	return only(scene, func(g secgroup.Group, r secgroup.Rule) bool {
		if id := r.Source.Reference; id != "" {
			list := scene.Lists[id]
			return list.Owner == "AWS" || strings.TrimSpace(list.Tags[s.TagKey]) == "ranges"
		}
		settings, err := secgroup.ParseSettings(s.TagKey, g.Tags)
		return err == nil && strings.HasPrefix(r.Description, s.TagKey+":") && r.Within(settings.Ports)
	})
}

// withoutWorld returns a scene without the rules that are open to the world.
func withoutWorld(scene *door.Scene) *door.Scene {
	return only(scene, func(_ secgroup.Group, r secgroup.Rule) bool { return !ipspace.IsWorld(r.Source.Prefix) })
}

// only returns a scene with only the rules that keep approves.
func only(scene *door.Scene, keep func(secgroup.Group, secgroup.Rule) bool) *door.Scene {
	part := *scene
	part.Subjects = nil
	for _, subject := range scene.Subjects {
		groups := slices.Clone(subject.Groups)
		for i, g := range groups {
			groups[i].Ingress = slices.DeleteFunc(slices.Clone(g.Ingress), func(r secgroup.Rule) bool { return !keep(g, r) })
		}
		subject.Groups = groups
		part.Subjects = append(part.Subjects, subject)
	}
	return &part
}

func (s *Setup) ruleCount() string {
	return fmt.Sprintf("%d IPv4 and %d IPv6 rules", s.Rules[secgroup.IPv4], s.Rules[secgroup.IPv6])
}
