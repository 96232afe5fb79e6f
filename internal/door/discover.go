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
	groups, err := groupsOf(ctx, api, s.Groups, interfaces)
	if err != nil {
		return nil, err
	}
	scene := &Scene{}
	if len(s.Groups) > 0 {
		scene.Subjects = append(scene.Subjects, Subject{Groups: pick(groups, s.Groups)})
	}
	for _, i := range interfaces {
		scene.Subjects = append(scene.Subjects, Subject{&i, pick(groups, i.Groups)})
	}
	return scene, scene.ReadLists(ctx, api, groups)
}

// A lookup finds interfaces by one filter.
type lookup struct {
	filter string
	values []string
	// names are what must be found, and of says what an interface is found as.
	names []string
	of    func(Interface) string
	// unknown is the error for a name that no interface has, and hint where to look.
	unknown, hint string
}

// lookups returns what finds the interfaces that a selector means.
func lookups(s Selector) []lookup {
	all := []lookup{
		{"network-interface-id", s.Interfaces, s.Interfaces, func(i Interface) string { return i.ID }, "there is no network interface %s", "check the ID and the region"},
		{"attachment.instance-id", s.Instances, s.Instances, func(i Interface) string { return i.Instance }, "instance %s has no network interface", "check the ID and the region, and whether it was terminated"},
	}
	// one finds what has one name only.
	one := func(filter string, values []string, name, unknown, hint string) {
		all = append(all, lookup{filter, values, []string{name}, func(Interface) string { return name }, unknown, hint})
	}
	for _, name := range s.LoadBalancers {
		one("description", descriptionsOf(name), name, "there is no network interface of a load balancer %s", "check the name and the region")
	}
	for _, addr := range s.Addresses {
		filter := "association.public-ip"
		if addr.Is6() {
			filter = "ipv6-addresses.ipv6-address"
		}
		one(filter, []string{addr.String()}, addr.String(), "there is no network interface with the address %s", "check the address, the account and the region")
	}
	return all
}

// interfacesOf returns the interfaces that a selector means, each once.
func interfacesOf(ctx context.Context, api API, s Selector) ([]Interface, error) {
	var found []Interface
	var errs []error
	for _, l := range lookups(s) {
		some, err := secgroup.DescribeInterfaces(ctx, api, l.filter, l.values)
		if err != nil {
			return nil, err
		}
		var as []string
		for _, i := range some {
			as = append(as, l.of(i))
			if !slices.ContainsFunc(found, func(o Interface) bool { return o.ID == i.ID }) {
				found = append(found, i)
			}
		}
		errs = append(errs, notFound(l.names, as, l.unknown, l.hint)...)
	}
	return found, joined(errs)
}

// descriptionsOf returns patterns for the descriptions that Elastic Load Balancing gives the interfaces of a load
// balancer, be it an Application, Network or Classic one. See
// https://repost.aws/knowledge-center/elb-find-load-balancer-ip
func descriptionsOf(loadBalancer string) []string {
	return []string{"ELB app/" + loadBalancer + "/*", "ELB net/" + loadBalancer + "/*", "ELB " + loadBalancer}
}

// groupsOf returns the groups with the given IDs and those of interfaces.
func groupsOf(ctx context.Context, api ec2.DescribeSecurityGroupsAPIClient, named []string, interfaces []Interface) ([]secgroup.Group, error) {
	ids := slices.Clone(named)
	for _, i := range interfaces {
		ids = append(ids, i.Groups...)
	}
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) == 0 {
		return nil, nil
	}
	groups, err := secgroup.Describe(ctx, api, ids)
	if err != nil {
		return nil, err
	}
	var found []string
	var errs []error
	for _, g := range groups {
		found = append(found, g.ID)
		if g.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", g.ID, g.Err))
		}
	}
	return groups, joined(append(errs, notFound(ids, found, "there is no security group %s", "check the ID, the account and the region")...))
}

// pick returns the groups with the given IDs, each once, in their order.
func pick(groups []secgroup.Group, ids []string) []secgroup.Group {
	var picked []secgroup.Group
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			continue
		}
		if at := slices.IndexFunc(groups, func(g secgroup.Group) bool { return g.ID == id }); at >= 0 {
			picked = append(picked, groups[at])
		}
	}
	return picked
}

// joined returns errors as one, in one line.
func joined(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	err := errs[0]
	for _, next := range errs[1:] {
		err = fmt.Errorf("%w; %w", err, next)
	}
	return err
}
