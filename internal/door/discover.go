package door

import (
	"context"
	"fmt"
	"slices"

	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// API is the part of the EC2 client that this package calls. It changes nothing.
type API interface {
	AttachmentAPI
	ec2.DescribeManagedPrefixListsAPIClient
	ec2.GetManagedPrefixListEntriesAPIClient
}

// AttachmentAPI is the part of the EC2 client that [Attached] calls.
type AttachmentAPI interface {
	ec2.DescribeSecurityGroupsAPIClient
	ec2.DescribeNetworkInterfacesAPIClient
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
	at, groups, err := SubjectsAt(ctx, api, interfaces, named, true)
	if err != nil {
		return nil, err
	}
	scene.Subjects = append(scene.Subjects, at...)
	return scene, scene.ReadLists(ctx, api, groups)
}

// interfacesOf returns the interfaces that a selector means, each once.
func interfacesOf(ctx context.Context, api API, s Selector) (found []Interface, err error) {
	var missing error
	for _, kind := range interfaceKinds {
		for _, name := range kind.names(s) {
			filter, values := kind.found(name)
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
func SubjectsAt(
	ctx context.Context, api ec2.DescribeSecurityGroupsAPIClient, interfaces []Interface, groups []secgroup.Group, describe bool,
) (subjects []Subject, all []secgroup.Group, err error) {
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
		described, err = groupsOf(ctx, api, others)
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
