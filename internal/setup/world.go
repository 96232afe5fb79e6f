package setup

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// An Opening is a rule that opens a port of the origin to the world, or did.
type Opening struct {
	door.WorldRule
	// Advice says why setup does not close the rule, and how to. It is empty if the rule can be closed.
	Advice string `json:"advice"`
	Closed bool   `json:"closed"`
	// Reopen is the command that opens the rule again, word by word. It is empty unless the rule was closed.
	Reopen []string `json:"reopen"`
	// Beside is set for a rule on other ports than those that are set up.
	Beside bool `json:"-"`
}

// Same reports whether two openings are one rule.
func (o Opening) Same(other Opening) bool {
	return o.Group.ID == other.Group.ID && o.Rule.RuleID == other.Rule.RuleID
}

// Openings returns the rules that open ports which count to the world: those asked for, 80, 443, and those that the
// origin listens on. The advice is for an origin at which everything that is wanted gets in without them.
func (s *Setup) Openings(ctx context.Context, state *State) ([]Opening, error) {
	openings := []Opening{}
	var exposed []secgroup.Group
	for _, w := range door.World(state.Scene, s.TagKey, slices.Concat(s.Ports, state.Listening)) {
		if len(w.Opens) == 0 {
			continue
		}
		group := state.group(w.Group.ID)
		o := Opening{WorldRule: w, Reopen: []string{}, Beside: !slices.ContainsFunc(s.Ports, w.Counts)}
		o.Advice = s.advice(state, o, group.Tags)
		openings, exposed = append(openings, o), append(exposed, group)
	}
	elsewhere, err := door.Attached(ctx, s.api(), exposed)
	elsewhere = slices.DeleteFunc(elsewhere, func(subject door.Subject) bool {
		// Other people's prefix lists are not read there: what they let in does not count.
		return state.Scene.Has(subject.Interface.ID) || s.letsIn(withoutWorld(&door.Scene{Subjects: []door.Subject{subject}}))
	})
	for i, o := range openings {
		var shut []string
		for _, subject := range elsewhere {
			if slices.Contains(subject.Interface.Groups, o.Group.ID) {
				shut = append(shut, subject.Interface.ID)
			}
		}
		if o.Advice == "" && len(shut) > 0 {
			openings[i].Advice = fmt.Sprintf("The group is attached to %s as well, where it may be all that lets CloudFront in: "+
				"set up that origin first, then run this again.", words.Few(shut))
		}
	}
	return openings, err
}

// advice says why a rule cannot be closed, as far as the rule and the origin show.
func (s *Setup) advice(state *State, o Opening, tags map[string]string) string {
	owner := ownersOf(tags)[0]
	if owner.tool != kubernetes {
		owner = state.owner
	}
	switch {
	case o.Beside:
		all := slices.Concat(secgroup.PortNames(s.Ports), o.Opens)
		return fmt.Sprintf("Set that up too, with --port %s; or, if it is meant to be open, tag the group %s-public=%q.",
			strings.Join(all, ","), s.TagKey, strings.Join(o.Opens, " "))
	case owner.tool == kubernetes:
		return fmt.Sprintf("The Kubernetes cluster %s would restore it: narrow it there once CloudFront gets in "+
			"through prefix lists, see docs/prefix-lists.md.", owner.name)
	case o.Rule.Source.Reference != "":
		return fmt.Sprintf("It refers to prefix list %s, which has an entry as wide as the world: narrow that.", o.Source)
	}
	for _, subject := range state.Scene.Subjects {
		if !slices.Contains(subject.Interface.Groups, o.Group.ID) {
			continue
		}
		if why := Obstacle(s.Question, o.Rule, subject.Interface, s.Ports); why != "" {
			return why
		}
	}
	return ""
}

// Obstacle says why a rule that is open to the world cannot be closed at one of its interfaces, although all that is
// wanted gets in there on some ports without it. It is empty if the rule can be closed.
func Obstacle(q door.Question, r secgroup.Rule, at *door.Interface, ports []secgroup.PortRange) string {
	f := secgroup.FamilyOf(r.Source.Prefix)
	const order = "Find out what else needs it, give that a rule of its own, and revoke this one"
	switch {
	case r.Source.Prefix.IsValid() && !q.Wants(f):
		return fmt.Sprintf("It is a rule for %s, and no %[1]s range is wanted here, so it is unknown whether CloudFront uses it: "+
			"ask for both families, and for a service that has such ranges.", f)
	case r.Protocol != "tcp":
		return "It opens every protocol and port, and closing it would close them all. " + order + "."
	case !r.Within(ports):
		return fmt.Sprintf("It opens more than %s, and closing it would close the rest too. %s; or set up all its ports, with cfsg setup --port.",
			words.Ports(secgroup.PortNames(ports)), order)
	case reaches(at, f) && !at.PublicOver(f): // clients there are not CloudFront, and may have no other way in
		return fmt.Sprintf("The group is attached to %s too, which the Internet does not reach: there the rule may be what lets a load "+
			"balancer in. Give that a rule of its own first.", at.ID)
	}
	return ""
}

// Closing returns the steps that close those of the openings that somebody has approved, as far as they can be closed.
func Closing(openings, approved []Opening) (steps []Step) {
	for _, o := range openings {
		if o.Advice == "" && slices.ContainsFunc(approved, o.Same) {
			steps = append(steps, Step{
				Action: toClose, On: o.Group.ID, Detail: o.Rule.RuleID.String(),
				close: secgroup.Step{HolderID: o.Group.ID, Remove: []secgroup.Rule{o.Rule}},
			})
		}
	}
	return steps
}

// NotOpen names the interfaces that part of CloudFront may reach only through rules that are open to the world.
func (s *Setup) NotOpen(report *door.Report) error {
	var where []string
	for _, subject := range report.Subjects {
		if subject.Verdict != door.Open {
			where = append(where, subject.Interface.ID)
		}
	}
	return hint.New(fmt.Sprintf("at %s, CloudFront may not get in completely without the rules that are open to the world, "+
		"so they stay", words.Few(where)), "cfsg check shows what is missing")
}

// maxTagValue is the length of a tag's value. See
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
const maxTagValue = 256

// closedKey begins the keys of the tags that record what was closed.
func (s *Setup) closedKey() string { return s.markKey() + "-closed-" }

// record notes a rule in a tag before it is closed, so that whoever undoes the setup learns how to open it again. The
// tag is on a group that the setup has created or, if there is none, on the group that has the rule. Its key is the same
// for the same rule.
func (s *Setup) record(ctx context.Context, state *State, step secgroup.Step) error {
	groups, rule := ofKind(secgroup.SecurityGroup, state.Created), step.Remove[0]
	on := append(idsOf(groups), step.HolderID)[0]
	text := fmt.Sprintf("%s %s %d %d %s", step.HolderID, rule.Protocol, rule.From, rule.To, rule.Source)
	hash := fnv.New32a()
	hash.Write([]byte(text))
	value := words.Shorten(strings.TrimSpace(text+" "+rule.Description), maxTagValue-len("…"))
	return s.createTags(ctx, on, tag(fmt.Sprintf("%s%08x", s.closedKey(), hash.Sum32()), value))
}

// parseClosed reads the value of a tag that records a rule.
func parseClosed(value string) (o Opening, ok bool) {
	var group, prefix string
	var r secgroup.Rule
	_, scanErr := fmt.Sscan(value, &group, &r.Protocol, &r.From, &r.To, &prefix)
	source, err := netip.ParsePrefix(prefix)
	if scanErr != nil || err != nil {
		return o, false
	}
	r.Source.Prefix = source
	if fields := strings.SplitN(value, " ", 6); len(fields) > 5 {
		r.Description = strings.TrimSuffix(fields[5], "…")
	}
	return Opening{Closed: true, Reopen: []string{}, WorldRule: door.WorldRule{
		RuleOf: door.RuleOf{Group: door.GroupID{ID: group}, Protocol: r.Protocol, Ports: r.Ports(), Description: r.Description},
		Source: r.Source.String(), Opens: []string{}, Interfaces: []string{}, Rule: r,
	}}, true
}

// closed returns the rules that setups have closed and that nobody has opened again.
func (s *Setup) closed(state *State) (closed []Opening) {
	recorded := map[string]Opening{}
	for _, g := range slices.Concat(state.Scene.Groups(), state.Created) {
		for key, value := range g.Tags {
			if o, ok := parseClosed(value); ok && strings.HasPrefix(key, s.closedKey()) {
				recorded[o.Group.ID+o.Rule.RuleID.String()] = o
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(recorded)) {
		o := recorded[id]
		here := func(r secgroup.Rule) bool { return r.RuleID == o.Rule.RuleID }
		if !slices.ContainsFunc(state.group(o.Group.ID).Ingress, here) {
			closed = append(closed, o)
		}
	}
	return closed
}
