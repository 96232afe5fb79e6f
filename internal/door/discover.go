package door

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// API is the part of the EC2 client that this package calls. It changes nothing.
type API interface {
	ec2.DescribeSecurityGroupsAPIClient
	ec2.DescribeNetworkInterfacesAPIClient
	ec2.DescribeManagedPrefixListsAPIClient
	ec2.GetManagedPrefixListEntriesAPIClient
}

// Discover finds what a selector means, with the rules of its groups and the entries of the prefix lists that these
// refer to. Entries that cannot be read are no error here, as they may not matter; the list says why.
func Discover(ctx context.Context, api API, s Selector) (*Scene, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	interfaces, err := interfacesOf(ctx, api, s)
	if err != nil {
		return nil, err
	}
	named, err := groupsOf(ctx, api, s.Groups)
	if err != nil {
		return nil, err
	}
	scene := &Scene{}
	if len(named) > 0 {
		scene.Subjects = []Subject{{Groups: named}}
	}
	at, err := SubjectsAt(ctx, api, interfaces, named, true)
	if err != nil {
		return nil, err
	}
	scene.Subjects = append(scene.Subjects, at...)
	return scene, scene.ReadLists(ctx, api, scene.Subjects)
}

// interfacesOf returns the interfaces that a selector means, each once.
func interfacesOf(ctx context.Context, api API, s Selector) (found []Interface, err error) {
	var missing error
	for _, kind := range interfaceKinds {
		for _, name := range kind.names(s) {
			filter, values := kind.filter, []string{name}
			switch {
			case filter == "description": // see https://repost.aws/knowledge-center/elb-find-load-balancer-ip
				values = []string{"ELB app/" + name + "/*", "ELB net/" + name + "/*", "ELB " + name}
			case strings.Contains(name, ":"):
				filter = "ipv6-addresses.ipv6-address"
			}
			some, err := secgroup.DescribeInterfaces(ctx, api, filter, values)
			if err != nil {
				return nil, err
			}
			if len(some) == 0 {
				missing = and(missing, kind.notFound(name))
			}
			for _, i := range some {
				if !slices.ContainsFunc(found, func(o Interface) bool { return o.ID == i.ID }) {
					found = append(found, i)
				}
			}
		}
	}
	return found, missing
}

// groupsOf returns the groups with the given IDs, each once, in their order.
func groupsOf(ctx context.Context, api ec2.DescribeSecurityGroupsAPIClient, ids []string) (groups []secgroup.Group, err error) {
	var asked []string
	for _, id := range ids {
		if !slices.Contains(asked, id) {
			asked = append(asked, id)
		}
	}
	described, err := secgroup.Describe(ctx, api, asked)
	if err != nil {
		return nil, err
	}
	var problems error
	for _, id := range asked {
		switch i := slices.IndexFunc(described, func(g secgroup.Group) bool { return g.ID == id }); {
		case i < 0:
			problems = and(problems, groupKind.notFound(id))
		case described[i].Err != nil:
			problems = and(problems, fmt.Errorf("%s: %w", id, described[i].Err))
		default:
			groups = append(groups, described[i])
		}
	}
	return groups, problems
}

// and adds an error to others, all in one line.
func and(err, next error) error {
	if err == nil {
		return next
	}
	return fmt.Errorf("%w; %w", err, next)
}

// Attached finds the network interfaces that any of the groups is attached to, as [SubjectsAt] returns them.
func Attached(ctx context.Context, api API, groups []secgroup.Group) ([]Subject, error) {
	var ids []string
	for _, g := range groups {
		ids = append(ids, g.ID)
	}
	interfaces, err := secgroup.DescribeInterfaces(ctx, api, "group-id", ids)
	if err != nil {
		return nil, err
	}
	return SubjectsAt(ctx, api, interfaces, groups, true)
}

// SubjectsAt returns interfaces with the groups that are attached there. Those that are not among the given ones are
// described if that is asked for, and otherwise left out, as they are where that fails.
func SubjectsAt(
	ctx context.Context, api ec2.DescribeSecurityGroupsAPIClient, interfaces []Interface, groups []secgroup.Group, describe bool,
) (subjects []Subject, err error) {
	known := map[string]secgroup.Group{}
	for _, g := range groups {
		known[g.ID] = g
	}
	var others []string
	for _, i := range interfaces {
		for _, id := range i.Groups {
			if _, ok := known[id]; !ok && describe {
				others = append(others, id)
			}
		}
	}
	described, err := groupsOf(ctx, api, others)
	for _, g := range described {
		known[g.ID] = g
	}
	for i := range interfaces {
		s := Subject{Interface: &interfaces[i]}
		for _, id := range s.Interface.Groups {
			if g, ok := known[id]; ok {
				s.Groups = append(s.Groups, g)
			}
		}
		subjects = append(subjects, s)
	}
	return subjects, err
}

// Around returns the scene at the network interfaces of the groups of a plan, and those groups of each pool that have
// none, or that nobody looked for. Rules are those of the plan, less any that are gone since. With complete set, it
// reads the other groups of the interfaces and other prefix lists; without, it makes no call. If a call fails, the scene
// lacks only its data.
func Around(ctx context.Context, api API, plan *secgroup.Plan, gone func(holder string, id secgroup.RuleID) bool, complete bool) (scene *Scene, err error) {
	scene = &Scene{Lists: map[string]secgroup.Holder{}}
	var groups []secgroup.Group
	var pools []Subject
	for _, pool := range plan.Pools {
		var together Subject
		for _, h := range pool.Holders {
			holder := *h.Holder
			isGone := func(r secgroup.Rule) bool { return gone(h.ID, r.RuleID) }
			if slices.ContainsFunc(h.Ingress, isGone) { // else it is not copied: a run may have hundreds of thousands of rules
				holder.Ingress = slices.DeleteFunc(slices.Clone(h.Ingress), isGone)
			}
			if h.Kind == secgroup.SecurityGroup {
				together.Groups = append(together.Groups, holder)
			} else {
				scene.Lists[h.ID] = holder
			}
		}
		if len(together.Groups) > 0 {
			pools, groups = append(pools, together), append(groups, together.Groups...)
		}
	}
	if at := plan.Attachments; at != nil && !at.Unknown {
		scene.Subjects, err = SubjectsAt(ctx, api, at.Interfaces, groups, complete)
	}
	attached := map[string]bool{}
	for _, s := range scene.Subjects {
		for _, g := range s.Groups {
			attached[g.ID] = true
		}
	}
	for _, pool := range pools {
		pool.Groups = slices.DeleteFunc(pool.Groups, func(g secgroup.Group) bool { return attached[g.ID] })
		if len(pool.Groups) > 0 {
			scene.Subjects = append(scene.Subjects, pool)
		}
	}
	if complete && err == nil {
		err = scene.ReadLists(ctx, api, scene.Subjects)
	}
	return scene, err
}

// Unread says of each prefix list whose entries could not be read that it may open a port to the world.
func (s *Scene) Unread() []string {
	var unread []string
	for _, id := range slices.Sorted(maps.Keys(s.Lists)) {
		if err := s.Lists[id].Err; err != nil {
			unread = append(unread, fmt.Sprintf("cannot tell whether rules that refer to %s are open to the world: %v", id, err))
		}
	}
	return unread
}

// ReadLists reads the prefix lists that rules at the subjects refer to, except those that are known. See
// https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html
// It fails only if the context ends. If names cannot be read, ListsErr says why; if entries, the Err of their list.
func (s *Scene) ReadLists(ctx context.Context, api API, subjects []Subject) error {
	if s.Lists == nil {
		s.Lists = map[string]secgroup.Holder{}
	}
	var ids []string
	for _, at := range subjects {
		for _, g := range at.Groups {
			for _, r := range g.Ingress {
				if id := r.Source.Reference; strings.HasPrefix(id, "pl-") && s.Lists[id].ID == "" {
					ids = append(ids, id)
					s.Lists[id] = secgroup.Holder{Kind: secgroup.ManagedPrefixList, ID: id, Family: unknownFamily}
				}
			}
		}
	}
	described, err := secgroup.DescribeLists(ctx, api, ids)
	if err != nil {
		s.ListsErr = err
	}
	for _, l := range described {
		if slices.Contains(ids, l.ID) {
			s.Lists[l.ID] = l
		}
	}
	for _, id := range ids {
		l := s.Lists[id]
		l.Ingress, l.Err = EntriesOf(ctx, api, id)
		s.Lists[id] = l
	}
	return ctx.Err()
}

// unknownFamily is that of a list which could not be described.
const unknownFamily secgroup.Family = -1

// EntriesOf returns the entries of a prefix list. Rules may refer to one that another account no longer shares. See
// https://docs.aws.amazon.com/vpc/latest/userguide/work-with-shared-prefixes.html
func EntriesOf(ctx context.Context, api ec2.GetManagedPrefixListEntriesAPIClient, id string) ([]secgroup.Rule, error) {
	entries, err := secgroup.Entries(ctx, api, id, 0)
	if strings.EqualFold(awserr.Code(err), "InvalidPrefixListID.NotFound") {
		err = hint.With(fmt.Errorf("%w: it is not shared with this account", err), "ask the account that owns it to share it again (AWS RAM), or check with that account's credentials (--profile)")
	}
	return entries, err
}
