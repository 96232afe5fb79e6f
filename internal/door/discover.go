package door

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
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
	groups, err := groupsOf(ctx, api, s, interfaces)
	if err != nil {
		return nil, err
	}
	scene := &Scene{}
	if len(s.Groups) > 0 {
		scene.Subjects = append(scene.Subjects, Subject{Groups: pick(groups, s.Groups)})
	}
	for _, i := range interfaces {
		scene.Subjects = append(scene.Subjects, Subject{Interface: newInterface(i), Groups: pick(groups, groupIDs(i))})
	}
	scene.Lists, scene.ListsErr, err = readLists(ctx, api, groups)
	return scene, err
}

// A lookup finds interfaces by one filter.
type lookup struct {
	filter string
	values []string
	// names are what must be found, and of says what an interface is found as.
	names []string
	of    func(types.NetworkInterface) []string
	// unknown is the error for a name that no interface has, and hint where to look.
	unknown, hint string
}

// lookups returns what finds the interfaces that a selector means.
func lookups(s Selector) []lookup {
	all := []lookup{
		{"network-interface-id", s.Interfaces, s.Interfaces, idOf, "there is no network interface %s", "check the ID and the region"},
		{"attachment.instance-id", s.Instances, s.Instances, instanceOf, "instance %s has no network interface", "check the ID and the region, and whether it was terminated"},
	}
	// one finds what has one name only.
	one := func(filter string, values []string, name, unknown, hint string) {
		all = append(all, lookup{filter, values, []string{name}, func(types.NetworkInterface) []string { return []string{name} }, unknown, hint})
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
func interfacesOf(ctx context.Context, api API, s Selector) ([]types.NetworkInterface, error) {
	var found []types.NetworkInterface
	var errs []error
	known := map[string]bool{}
	for _, l := range lookups(s) {
		if len(l.values) == 0 {
			continue
		}
		some, err := describeInterfaces(ctx, api, l.filter, l.values)
		if err != nil {
			return nil, err
		}
		errs = append(errs, notFound(l.names, collect(some, l.of), l.unknown, l.hint)...)
		for _, i := range some {
			if id := aws.ToString(i.NetworkInterfaceId); !known[id] {
				known[id] = true
				found = append(found, i)
			}
		}
	}
	return found, joined(errs)
}

// descriptionsOf returns patterns for the descriptions that Elastic Load Balancing gives the interfaces of a load
// balancer, be it an Application, Network or Classic one. See
// https://repost.aws/knowledge-center/elb-find-load-balancer-ip
func descriptionsOf(loadBalancer string) []string {
	return []string{"ELB app/" + loadBalancer + "/*", "ELB net/" + loadBalancer + "/*", "ELB " + loadBalancer}
}

// interfacesPerPage is the most interfaces that one describe returns. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html
const interfacesPerPage = 1000

func describeInterfaces(ctx context.Context, api ec2.DescribeNetworkInterfacesAPIClient, filter string, values []string) ([]types.NetworkInterface, error) {
	pages := ec2.NewDescribeNetworkInterfacesPaginator(api, &ec2.DescribeNetworkInterfacesInput{
		Filters:    []types.Filter{{Name: aws.String(filter), Values: values}},
		MaxResults: aws.Int32(interfacesPerPage),
	})
	var found []types.NetworkInterface
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awserr.Explain(fmt.Errorf("describe the network interfaces with %s %s: %w", filter, words.Few(values), err), "ec2:DescribeNetworkInterfaces")
		}
		found = append(found, page.NetworkInterfaces...)
	}
	return found, nil
}

func newInterface(i types.NetworkInterface) *Interface {
	n := &Interface{
		ID: aws.ToString(i.NetworkInterfaceId), Description: aws.ToString(i.Description), Instance: strings.Join(instanceOf(i), ""),
		PrivateIPv4: []netip.Addr{}, PublicIPv4: []netip.Addr{}, IPv6: []netip.Addr{},
		VPC: aws.ToString(i.VpcId), Subnet: aws.ToString(i.SubnetId),
		RequesterManaged: aws.ToBool(i.RequesterManaged),
		needsNoGroup:     i.InterfaceType == types.NetworkInterfaceTypeNetworkLoadBalancer,
	}
	add := func(list *[]netip.Addr, text *string) {
		if addr, err := netip.ParseAddr(aws.ToString(text)); err == nil {
			*list = append(*list, addr)
		}
	}
	for _, a := range i.PrivateIpAddresses {
		add(&n.PrivateIPv4, a.PrivateIpAddress)
		if a.Association != nil {
			add(&n.PublicIPv4, a.Association.PublicIp)
		}
	}
	for _, a := range i.Ipv6Addresses {
		add(&n.IPv6, a.Ipv6Address)
	}
	return n
}

func idOf(i types.NetworkInterface) []string { return []string{aws.ToString(i.NetworkInterfaceId)} }

// instanceOf returns the instance an interface is attached to, if any.
func instanceOf(i types.NetworkInterface) []string {
	if i.Attachment == nil || i.Attachment.InstanceId == nil {
		return nil
	}
	return []string{*i.Attachment.InstanceId}
}

func groupIDs(i types.NetworkInterface) []string {
	var ids []string
	for _, g := range i.Groups {
		ids = append(ids, aws.ToString(g.GroupId))
	}
	return ids
}

func collect(interfaces []types.NetworkInterface, of func(types.NetworkInterface) []string) []string {
	var all []string
	for _, i := range interfaces {
		all = append(all, of(i)...)
	}
	return all
}

// groupsOf returns all groups of a selector and of interfaces.
func groupsOf(ctx context.Context, api ec2.DescribeSecurityGroupsAPIClient, s Selector, interfaces []types.NetworkInterface) ([]secgroup.Group, error) {
	ids := append(slices.Clone(s.Groups), collect(interfaces, groupIDs)...)
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
