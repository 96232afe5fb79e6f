package setup

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// lists returns a prefix list for each address family, to which the tool that owns the groups refers in rules of its
// own. Those to create have the usual size or, if a group has no room for that, one free entry. It is an error if the
// group that refers to them has no room next to the rules that it has, because those stay until CloudFront gets in by
// the lists.
func (s *Setup) lists(state *State, plan *Plan) ([]secgroup.Holder, error) {
	ports, beside := len(s.Ports), s.besides(state)
	if state.owner.tool == kubernetes { // a controller writes a rule for each listener, whichever ports are asked for here
		ports = max(ports, len(state.Listening))
	}
	// sized returns the lists, and how many rules they count as.
	sized := func(size func(entries int) int) (holders []secgroup.Holder, weight int) {
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
		return holders, weight
	}
	holders, weight := sized(secgroup.ListSize)
	if weight+beside > s.RulesPerGroup {
		holders, weight = sized(func(entries int) int { return entries + 1 })
	}
	sum := fmt.Sprintf("a rule for each list on %s counts as %d rules, next to the %d it has", words.Count(ports, "port"), weight, beside)
	if weight+beside <= s.RulesPerGroup {
		plan.Notes = append(plan.Notes, fmt.Sprintf("In each group that refers to the lists, %s, of %d (quota L-0EA8095F), "+
			"because the size of a list counts, not the number of its entries.", sum, s.RulesPerGroup))
		return holders, nil
	}
	ways := "raise quota L-0EA8095F (rules per security group)"
	if !slices.Equal(s.Engine.Services, []string{"CLOUDFRONT_ORIGIN_FACING"}) || len(s.Engine.Within) == 0 {
		ways = "let in the compact cover, which needs fewer entries (--service CLOUDFRONT_ORIGIN_FACING --within CLOUDFRONT), or " + ways
	}
	return nil, hint.New(fmt.Sprintf("%s, and a security group of %s can have %d", sum, s.Origin, s.RulesPerGroup), ways)
}

// besides returns how many rules the group that will refer to the lists has already, not counting those that refer to
// them. No tag names that group: setup assumes the one that is open to the world and, of several, the emptiest.
func (s *Setup) besides(state *State) int {
	var counts, open []int
	for _, g := range state.Scene.Groups() {
		var rules secgroup.Weight
		for _, r := range g.Ingress {
			if state.has(r.Source.Reference) {
				continue
			}
			entries := len(state.Scene.Lists[r.Source.Reference].Ingress)
			rules.Add(secgroup.Rule{RuleID: r.RuleID}.Weighs(), max(1, entries))
		}
		counts = append(counts, slices.Max(rules[:]))
		if len(s.worldOf(g)) > 0 {
			open = append(open, slices.Max(rules[:]))
		}
	}
	if len(open) > 0 {
		counts = open
	}
	return slices.Min(counts)
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
