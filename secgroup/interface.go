package secgroup

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/words"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// An Interface is a network interface, reduced to what tells it from others and who reaches it.
type Interface struct {
	ID string `json:"id"` // eni-…
	// Description says what it belongs to: "ELB app/shop/50dc6c495c0c9188".
	Description string `json:"description"`
	Instance    string `json:"instance"` // i-…, or empty
	// PrivateIPv4, PublicIPv4 and IPv6 are its addresses.
	PrivateIPv4 []netip.Addr `json:"privateIpv4"`
	PublicIPv4  []netip.Addr `json:"publicIpv4"`
	IPv6        []netip.Addr `json:"ipv6"`

	Groups      []string `json:"-"` // IDs of the groups attached to it
	Region      string   `json:"-"` // where it is; empty if the reader knows
	VPC, Subnet string   `json:"-"`
	// Secondary is set for one that is not its instance's first.
	Secondary bool `json:"-"`
	// RequesterManaged is set for an interface that belongs to a service, and that nobody else can change.
	RequesterManaged bool `json:"-"`
	// NeedsNoGroup is set for an interface that everyone reaches if no group is attached to it.
	NeedsNoGroup bool `json:"-"`
}

// DescribeInterfaces returns the network interfaces that a filter matches, each once, by a call for each 200 values.
func DescribeInterfaces(ctx context.Context, api ec2.DescribeNetworkInterfacesAPIClient, filter string, values []string) ([]Interface, error) {
	var found []Interface
	seen := map[string]bool{} // one that matches values of two calls comes with both
	for some := range slices.Chunk(values, ValuesPerFilter) {
		pages := ec2.NewDescribeNetworkInterfacesPaginator(api, &ec2.DescribeNetworkInterfacesInput{
			Filters:    []types.Filter{{Name: aws.String(filter), Values: some}},
			MaxResults: aws.Int32(groupsPerPage),
		})
		described, err := Collect(ctx, pages.HasMorePages, pages.NextPage,
			func(page *ec2.DescribeNetworkInterfacesOutput) []types.NetworkInterface {
				return page.NetworkInterfaces
			},
			fmt.Sprintf("describe the network interfaces with %s %s", filter, words.Few(values)), "ec2:DescribeNetworkInterfaces")
		if err != nil {
			return nil, err
		}
		for _, eni := range described {
			if id := aws.ToString(eni.NetworkInterfaceId); !seen[id] {
				seen[id] = true
				found = append(found, newInterface(eni))
			}
		}
	}
	return found, nil
}

func newInterface(eni types.NetworkInterface) Interface {
	i := Interface{
		ID: aws.ToString(eni.NetworkInterfaceId), Description: aws.ToString(eni.Description),
		PrivateIPv4: []netip.Addr{}, PublicIPv4: []netip.Addr{}, IPv6: []netip.Addr{},
		VPC: aws.ToString(eni.VpcId), Subnet: aws.ToString(eni.SubnetId),
		RequesterManaged: aws.ToBool(eni.RequesterManaged),
		NeedsNoGroup:     eni.InterfaceType == types.NetworkInterfaceTypeNetworkLoadBalancer,
	}
	if a := eni.Attachment; a != nil {
		i.Instance, i.Secondary = aws.ToString(a.InstanceId), aws.ToInt32(a.DeviceIndex) > 0
	}
	for _, g := range eni.Groups {
		i.Groups = append(i.Groups, aws.ToString(g.GroupId))
	}
	add := func(list *[]netip.Addr, text *string) {
		if addr, err := netip.ParseAddr(aws.ToString(text)); err == nil && !slices.Contains(*list, addr) {
			*list = append(*list, addr)
		}
	}
	if eni.Association != nil { // of the primary address
		add(&i.PublicIPv4, eni.Association.PublicIp)
	}
	for _, a := range eni.PrivateIpAddresses {
		add(&i.PrivateIPv4, a.PrivateIpAddress)
		if a.Association != nil {
			add(&i.PublicIPv4, a.Association.PublicIp)
		}
	}
	for _, a := range eni.Ipv6Addresses {
		add(&i.IPv6, a.Ipv6Address)
	}
	return i
}

// Origin returns the flag with which a command names what the interface belongs to, and its value: the load balancer,
// the instance or the interface itself. It returns nothing if another AWS service owns the interface.
func (i *Interface) Origin() []string {
	switch {
	case i.LoadBalancer() != "":
		return []string{"--load-balancer", i.LoadBalancer()}
	case i.RequesterManaged:
		return nil
	case i.Instance != "":
		return []string{"--instance", i.Instance}
	}
	return []string{"--interface", i.ID}
}

// LoadBalancer returns the name of the Application or Network Load Balancer that an interface belongs to, or nothing.
// Their interfaces are described as "ELB app/shop/50dc6c495c0c9188", those of a Classic one as "ELB shop".
func (i *Interface) LoadBalancer() string {
	if _, name, ok := strings.Cut(i.Description, "ELB "); ok {
		if parts := strings.Split(name, "/"); len(parts) == 3 && (parts[0] == "app" || parts[0] == "net") {
			return parts[1]
		}
	}
	return ""
}

// Public reports whether an interface has an address that CloudFront can connect to.
func (i *Interface) Public() bool { return i.PublicOver(IPv4) || i.PublicOver(IPv6) }

// PublicOver reports whether an interface has an address of a family that can be reached from the Internet.
func (i *Interface) PublicOver(f Family) bool {
	if f == IPv4 {
		return len(i.PublicIPv4) > 0
	}
	return slices.ContainsFunc(i.IPv6, func(addr netip.Addr) bool { return addr.IsGlobalUnicast() && !addr.IsPrivate() })
}
