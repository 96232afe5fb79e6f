package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// A List is a prefix list that a setup has created.
type List struct {
	ID, Name   string
	Family     secgroup.Family
	MaxEntries int

	tagged bool // to be kept equal to the ranges
}

// madeLists returns the prefix lists that a setup has created for the origin, IPv4 first. The page of
// DescribeManagedPrefixLists does not mention tag filters, but EC2 accepts them: Terraform's
// aws_ec2_managed_prefix_lists relies on them.
// https://registry.terraform.io/providers/hashicorp/aws/latest/docs/data-sources/ec2_managed_prefix_lists
func (s *Setup) madeLists(ctx context.Context) ([]List, error) {
	pages := ec2.NewDescribeManagedPrefixListsPaginator(s.api(), &ec2.DescribeManagedPrefixListsInput{
		Filters: []types.Filter{{Name: aws.String("tag:" + s.markKey()), Values: []string{s.Origin.mark()}}},
	})
	var lists []List
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain(fmt.Errorf("describe the prefix lists tagged %s=%s: %w", s.markKey(), s.Origin.mark(), err), "ec2:DescribeManagedPrefixLists")
		}
		for _, described := range page.PrefixLists {
			if strings.HasPrefix(string(described.State), "delete-") && described.State != types.PrefixListStateDeleteFailed {
				continue
			}
			l := List{ID: aws.ToString(described.PrefixListId), Name: aws.ToString(described.PrefixListName), MaxEntries: int(aws.ToInt32(described.MaxEntries))}
			if aws.ToString(described.AddressFamily) == secgroup.IPv6.String() {
				l.Family = secgroup.IPv6
			}
			for _, tag := range described.Tags {
				l.tagged = l.tagged || aws.ToString(tag.Key) == s.Engine.TagKey && aws.ToString(tag.Value) == "ranges"
			}
			lists = append(lists, l)
		}
	}
	slices.SortFunc(lists, func(a, b List) int {
		return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return lists, nil
}

// proposeLists plans a prefix list for each address family. The tool that owns the groups refers to them in rules of
// its own.
func (s *Setup) proposeLists(ctx context.Context, state *State, plan *Plan) error {
	var names []string
	var sizes []int
	stale := false
	size := s.listSize(state, plan)
	for _, f := range []secgroup.Family{secgroup.IPv4, secgroup.IPv6} {
		if plan.Rules[f] == 0 {
			continue
		}
		i := slices.IndexFunc(state.Lists, func(l List) bool { return l.Family == f })
		if i < 0 {
			l := List{Name: fmt.Sprintf("%s-%s-%s", s.Engine.TagKey, s.Origin.Name, strings.ToLower(f.String())), Family: f, MaxEntries: size(plan.Rules[f])}
			plan.Steps = append(plan.Steps, Step{
				Action: Create, On: l.Name, list: &l,
				Detail: fmt.Sprintf("a prefix list of up to %d %s entries, %d of them now, tagged %s=ranges", l.MaxEntries, f, plan.Rules[f], s.Engine.TagKey),
			})
			names, sizes, stale = append(names, l.Name), append(sizes, l.MaxEntries), true
			continue
		}
		l := state.Lists[i]
		if !l.tagged {
			plan.add(Tag, l.ID, s.Engine.TagKey+"=ranges")
			stale = true
		}
		names, sizes = append(names, l.Name), append(sizes, l.MaxEntries)
	}
	if err := s.weigh(state, plan, sizes); err != nil {
		return err
	}
	if len(state.Lists) > 0 {
		unsynced, err := s.unsynced(ctx, listRequest(state.Lists))
		if err != nil {
			return err
		}
		stale = stale || unsynced
	}
	if stale {
		plan.add(Fill, words.Few(names), fmt.Sprintf("%d IPv4 and %d IPv6 entries", plan.Rules[secgroup.IPv4], plan.Rules[secgroup.IPv6]))
	}
	return nil
}

// weigh refuses lists for which a group has no room next to the rules that it has, because those stay until CloudFront
// gets in by the lists.
func (s *Setup) weigh(state *State, plan *Plan, sizes []int) error {
	ports, beside, weight := s.listPorts(state), s.besides(state), 0
	for _, size := range sizes {
		weight += ports * size
	}
	sum := fmt.Sprintf("a rule for each list on %s counts as %d rules, next to the %d it has", words.Count(ports, "port"), weight, beside)
	if weight+beside <= s.RulesPerGroup {
		plan.Notes = append(plan.Notes, fmt.Sprintf("In each group that refers to the lists, %s, of %d (quota L-0EA8095F), because the size of a list counts, not the number of its entries.", sum, s.RulesPerGroup))
		return nil
	}
	ways := "raise quota L-0EA8095F (rules per security group)"
	if !slices.Equal(s.Engine.Services, []string{"CLOUDFRONT_ORIGIN_FACING"}) || len(s.Engine.Within) == 0 {
		ways = "let in the compact cover, which needs fewer entries (--service CLOUDFRONT_ORIGIN_FACING --within CLOUDFRONT), or " + ways
	}
	return hint.New(fmt.Sprintf("%s, and a security group of %s can have %d", sum, s.Origin, s.RulesPerGroup), ways)
}

// listSize returns how large to make a list of so many entries: of the usual size or, if a group has no room for that,
// with one place to spare.
func (s *Setup) listSize(state *State, plan *Plan) func(entries int) int {
	weight := 0
	for _, n := range plan.Rules {
		if n > 0 {
			weight += s.listPorts(state) * secgroup.ListSize(n)
		}
	}
	if weight+s.besides(state) <= s.RulesPerGroup {
		return secgroup.ListSize
	}
	return func(entries int) int { return entries + 1 }
}

// listPorts returns on how many ports each list is referred to. A controller writes a rule for each listener, whichever
// ports are asked for here.
func (s *Setup) listPorts(state *State) int {
	if state.Owner.Cluster != "" {
		return max(len(s.Ports), len(state.Listening))
	}
	return len(s.Ports)
}

// besides returns how many rules the group that will refer to the lists has already, not counting those that refer to
// them. No tag names that group: setup assumes the one that is open to the world and, of several, the emptiest.
func (s *Setup) besides(state *State) int {
	groups := state.groups()
	if open := slices.DeleteFunc(slices.Clone(groups), func(g secgroup.Group) bool { return len(s.worldOf(g)) == 0 }); len(open) > 0 {
		groups = open
	}
	least := -1
	for _, g := range groups {
		var rules secgroup.Weight
		for _, r := range g.Ingress {
			if slices.ContainsFunc(state.Lists, func(l List) bool { return l.ID == r.Source.Reference }) {
				continue
			}
			weight := secgroup.WeightOf(r.Source)
			for f := range rules {
				rules[f] += weight[f] * max(1, len(state.Scene.Lists[r.Source.Reference].Entries))
			}
		}
		if n := max(rules[secgroup.IPv4], rules[secgroup.IPv6]); least < 0 || n < least {
			least = n
		}
	}
	return max(0, least)
}

// listRequest asks the engine for a run on prefix lists alone.
func listRequest(lists []List) engine.Request {
	var req engine.Request
	for _, l := range lists {
		req.GroupIDs = append(req.GroupIDs, l.ID)
	}
	return req
}

// createList creates a prefix list with all its tags in one call, so that a list that exists is always found again, and
// waits until it exists. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateManagedPrefixList.html
func (s *Setup) createList(ctx context.Context, l List) error {
	tags := []types.Tag{tag("Name", l.Name), s.listTag(), tag(s.markKey(), s.Origin.mark())}
	out, err := s.EC2.CreateManagedPrefixList(ctx, &ec2.CreateManagedPrefixListInput{
		PrefixListName: aws.String(l.Name), AddressFamily: aws.String(l.Family.String()), MaxEntries: aws.Int32(int32(l.MaxEntries)),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypePrefixList, Tags: tags}},
	})
	if err != nil {
		return explain(fmt.Errorf("create prefix list %s: %w", l.Name, err), "ec2:CreateManagedPrefixList and, for its tags, ec2:CreateTags")
	}
	id := aws.ToString(out.PrefixList.PrefixListId)
	ready, err := s.await(ctx, func() (bool, error) {
		found, err := s.describeList(ctx, id)
		return found != nil && !strings.HasSuffix(string(found.State), "-in-progress"), err
	})
	if err == nil && !ready {
		err = fmt.Errorf("%s %s is created, but EC2 does not show it yet", id, l.Name)
	}
	return err
}

// describeList returns a prefix list, or nil if there is none.
func (s *Setup) describeList(ctx context.Context, id string) (*types.ManagedPrefixList, error) {
	out, err := s.EC2.DescribeManagedPrefixLists(ctx, &ec2.DescribeManagedPrefixListsInput{
		Filters: []types.Filter{{Name: aws.String("prefix-list-id"), Values: []string{id}}},
	})
	if err != nil {
		return nil, explain(fmt.Errorf("describe prefix list %s: %w", id, err), "ec2:DescribeManagedPrefixLists")
	}
	if len(out.PrefixLists) == 0 {
		return nil, nil
	}
	return &out.PrefixLists[0], nil
}

// fill has the engine make the lists equal to the ranges, and change nothing else.
func (s *Setup) fill(ctx context.Context) error {
	lists, err := s.madeLists(ctx)
	if err != nil {
		return err
	}
	if len(lists) == 0 { // to the engine, that would mean all groups and lists
		return fmt.Errorf("no prefix list is tagged %s=%s any more", s.markKey(), s.Origin.mark())
	}
	return s.sync(ctx, listRequest(lists))
}

// associations is the one operation that a paginator of associations calls; see [listeners].
type associations func(context.Context, *ec2.GetManagedPrefixListAssociationsInput, ...func(*ec2.Options)) (*ec2.GetManagedPrefixListAssociationsOutput, error)

// GetManagedPrefixListAssociations implements ec2.GetManagedPrefixListAssociationsAPIClient.
func (f associations) GetManagedPrefixListAssociations(ctx context.Context, in *ec2.GetManagedPrefixListAssociationsInput, opts ...func(*ec2.Options)) (*ec2.GetManagedPrefixListAssociationsOutput, error) {
	return f(ctx, in, opts...)
}

// referred refuses to remove lists that groups refer to: those groups would shut out the ranges on the lists, and EC2
// does not delete such a list.
func (s *Setup) referred(ctx context.Context, lists []List) error {
	for _, l := range lists {
		pages := ec2.NewGetManagedPrefixListAssociationsPaginator(associations(s.EC2.GetManagedPrefixListAssociations), &ec2.GetManagedPrefixListAssociationsInput{PrefixListId: aws.String(l.ID)})
		var groups []string
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return explain(fmt.Errorf("see who refers to prefix list %s: %w", l.ID, err), "ec2:GetManagedPrefixListAssociations")
			}
			for _, a := range page.PrefixListAssociations {
				groups = append(groups, aws.ToString(a.ResourceId))
			}
		}
		if len(groups) > 0 {
			return hint.New(fmt.Sprintf("%s %s is still referred to by %s, so nothing was undone", l.ID, l.Name, words.Few(groups)),
				"first let CloudFront in through other rules, then remove these references where they were made, and run this again")
		}
	}
	return nil
}

// removeList deletes a prefix list. EC2 answers before the list is gone; if a group refers to the list, EC2 says so
// only afterwards. See
// https://github.com/hashicorp/terraform-provider-aws/issues/20991
func (s *Setup) removeList(ctx context.Context, id string) error {
	_, err := s.EC2.DeleteManagedPrefixList(ctx, &ec2.DeleteManagedPrefixListInput{PrefixListId: aws.String(id)})
	if strings.EqualFold(awserr.Code(err), "InvalidPrefixListID.NotFound") { // it was deleted, but the answer got lost
		return nil
	}
	if err != nil {
		return explain(fmt.Errorf("delete prefix list %s: %w", id, err), "ec2:DeleteManagedPrefixList")
	}
	gone, err := s.await(ctx, func() (bool, error) {
		l, err := s.describeList(ctx, id)
		switch {
		case err != nil:
			return false, err
		case l == nil || l.State == types.PrefixListStateDeleteComplete:
			return true, nil
		case l.State == types.PrefixListStateDeleteFailed:
			return false, errors.New(aws.ToString(l.StateMessage))
		}
		return false, nil
	})
	if err == nil && !gone {
		err = errors.New("EC2 has not yet confirmed it")
	}
	if err != nil {
		return fmt.Errorf("delete prefix list %s: %w", id, err)
	}
	return nil
}
