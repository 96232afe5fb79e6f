package door

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// AttachmentAPI is the part of the EC2 client that [Attached] calls.
type AttachmentAPI interface {
	ec2.DescribeSecurityGroupsAPIClient
	ec2.DescribeNetworkInterfacesAPIClient
}

// Attached finds the network interfaces that any of the groups is attached to, each with all groups that are attached
// there. The groups that are not among the given ones are described; the rules of the others are taken as given.
func Attached(ctx context.Context, api AttachmentAPI, groups []secgroup.Group) ([]Subject, error) {
	var ids []string
	for _, g := range groups {
		ids = append(ids, g.ID)
	}
	interfaces, err := secgroup.DescribeInterfaces(ctx, api, "group-id", ids)
	if err != nil {
		return nil, err
	}
	subjects, _, err := SubjectsAt(ctx, api, interfaces, groups, true)
	return subjects, err
}

// SubjectsAt returns interfaces with the groups that are attached there, and all these groups. Those that are not among
// the given ones are described if that is asked for, and otherwise left out, as they are where that fails.
func SubjectsAt(ctx context.Context, api ec2.DescribeSecurityGroupsAPIClient, interfaces []Interface, groups []secgroup.Group, describe bool) (subjects []Subject, all []secgroup.Group, err error) {
	known := map[string]secgroup.Group{}
	for _, g := range groups {
		known[g.ID] = g
	}
	if describe {
		var others []string
		for _, i := range interfaces {
			for _, id := range i.Groups {
				if _, ok := known[id]; !ok {
					others = append(others, id)
				}
			}
		}
		var described []secgroup.Group
		described, err = groupsOf(ctx, api, others, nil)
		for _, g := range described {
			known[g.ID] = g
		}
		groups = slices.Concat(groups, described)
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
	return subjects, groups, err
}

// Around returns the scene at the network interfaces of the groups of a plan. The groups of a pool that none has, or
// that nobody looked for, come as one. Rules and entries are those of the plan, less any that are gone since. With
// complete set, it also describes the other groups of the interfaces, and reads the other prefix lists that rules refer
// to; without, it makes no call. If a call fails, the scene lacks only its data.
func Around(ctx context.Context, api API, plan *secgroup.Plan, gone func(holder string, id secgroup.RuleID) bool, complete bool) (scene *Scene, err error) {
	scene = &Scene{Lists: map[string]PrefixList{}}
	var groups []secgroup.Group
	var pools []Subject
	for _, pool := range plan.Pools {
		var together Subject
		for _, h := range pool.Holders {
			rules := slices.DeleteFunc(slices.Clone(h.Ingress), func(r secgroup.Rule) bool { return gone(h.ID, r.RuleID) })
			if h.Kind == secgroup.SecurityGroup {
				group := *h.Holder
				group.Ingress = rules
				together.Groups = append(together.Groups, group)
				continue
			}
			list := PrefixList{ID: h.ID, Name: h.Name, Owner: h.Owner, Tags: h.Tags, Family: h.Family, Err: h.Err}
			for _, r := range rules {
				list.Entries = append(list.Entries, r.Source.Prefix)
			}
			scene.Lists[list.ID] = list
		}
		if len(together.Groups) > 0 {
			pools, groups = append(pools, together), append(groups, together.Groups...)
		}
	}
	if at := plan.Attachments; at != nil && !at.Unknown {
		scene.Subjects, groups, err = SubjectsAt(ctx, api, at.Interfaces, groups, complete)
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
		err = scene.ReadLists(ctx, api, groups)
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
