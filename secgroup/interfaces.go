package secgroup

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/words"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// An Interface is a network interface, reduced to what tells it from others and who reaches it.
type Interface struct {
	ID          string       `json:"id"`          // eni-…
	Description string       `json:"description"` // what it belongs to: "ELB app/shop/50dc6c495c0c9188"
	Instance    string       `json:"instance"`    // i-…, or empty
	PrivateIPv4 []netip.Addr `json:"privateIpv4"`
	PublicIPv4  []netip.Addr `json:"publicIpv4"`
	IPv6        []netip.Addr `json:"ipv6"`

	Groups      []string `json:"-"` // IDs of the groups attached to it
	Region      string   `json:"-"` // where it is; empty if the reader knows
	VPC, Subnet string   `json:"-"`

	Secondary        bool `json:"-"` // not its instance's first
	RequesterManaged bool `json:"-"` // belongs to a service, and nobody else can change it
	NeedsNoGroup     bool `json:"-"` // everyone reaches it if no group is attached to it
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

// Attachments tell which network interfaces groups are attached to.
type Attachments struct {
	Interfaces []Interface
	// Unknown is true without the permission to look. Then a rule only counts in its own group.
	Unknown bool
}

// An InterfacePlan says what a network interface gets from a pool once the steps are taken.
type InterfacePlan struct {
	*Interface
	// Lacks counts the wanted rules, on ports that its groups list, that no group of the interface has.
	Lacks int
	// Attach lists the groups of the pool that have them.
	Attach []string

	leftAlone bool // a group of the pool that the run leaves alone may have room for them
}

// String says what the interface lacks and what to do.
func (p InterfacePlan) String() string {
	text := p.ID
	if owner := cmp.Or(p.Description, p.Instance); owner != "" {
		text += " (" + owner + ")"
	}
	text += " lacks " + words.Count(p.Lacks, "rule")
	switch {
	case len(p.Attach) == 0 && p.leftAlone:
		return text + " because this run leaves a group of the pool alone"
	case len(p.Attach) == 0:
		return text + " because the pool is full: make room in the pool"
	}
	text += fmt.Sprintf(": attach %s to it as well, beside %s", strings.Join(p.Attach, " and "), strings.Join(p.Groups, ", "))
	if n := len(p.Groups) + len(p.Attach); n > InterfaceGroups {
		text += fmt.Sprintf("; that makes %d groups, and an interface takes %d by default (quota L-2AFB9258), an Application Load Balancer %[2]d", n, InterfaceGroups)
	}
	return text + ": " + p.command()
}

// command returns the command that attaches the missing groups. It names the groups that the interface has as well, as
// they are all replaced. Those of a load balancer change only through it. See
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html and, for a Classic one,
// https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_ApplySecurityGroupsToLoadBalancer.html
func (p InterfacePlan) command() string {
	groups := strings.Join(slices.Concat(p.Groups, p.Attach), " ")
	region := inRegion(p.Region)
	classic, balancer := strings.CutPrefix(p.Description, "ELB ")
	switch name := p.LoadBalancer(); {
	case name != "":
		return fmt.Sprintf(`aws elbv2 set-security-groups%s --load-balancer-arn "$(aws elbv2 describe-load-balancers%[1]s --names %s --query 'LoadBalancers[0].LoadBalancerArn' --output text)" --security-groups %s`, region, name, groups)
	case balancer && !strings.Contains(classic, "/"):
		return fmt.Sprintf("aws elb apply-security-groups-to-load-balancer%s --load-balancer-name %s --security-groups %s", region, classic, groups)
	}
	return fmt.Sprintf("aws ec2 modify-network-interface-attribute%s --network-interface-id %s --groups %s", region, p.ID, groups)
}

// DescribeAttachments finds the network interfaces that any of the groups is attached to, by a call for each 200
// groups. Without the permission to look it returns attachments that are unknown.
func DescribeAttachments(ctx context.Context, api ec2.DescribeNetworkInterfacesAPIClient, groupIDs []string) (*Attachments, error) {
	interfaces, err := DescribeInterfaces(ctx, api, "group-id", groupIDs)
	if awserr.IsDenied(err) {
		return &Attachments{Unknown: true}, nil
	}
	return &Attachments{Interfaces: interfaces}, err
}

// lacking returns what each interface lacks of a pool after its steps, sorted by ID.
func (u *unit) lacking(p *PoolPlan) (plans []InterfacePlan) {
	for _, set := range u.Interfaces {
		var here []*HolderPlan
		for _, i := range set.Holders {
			if h := u.Holders[i]; h.pool == p {
				here = append(here, h)
			}
		}
		if len(here) > 0 && len(set.interfaces) > 0 {
			plan := u.lacks(p, here)
			for _, plan.Interface = range set.interfaces {
				plans = append(plans, plan)
			}
		}
	}
	slices.SortFunc(plans, func(a, b InterfacePlan) int { return cmp.Compare(a.ID, b.ID) })
	return plans
}

// lacks counts the rules wanted on the ports that some groups of a pool list and none of them has, and names the groups
// of the pool that have them.
func (u *unit) lacks(p *PoolPlan, here []*HolderPlan) (plan InterfacePlan) {
	for _, port := range p.Ports() {
		if !slices.ContainsFunc(here, func(h *HolderPlan) bool { return h.lists(port) }) {
			continue
		}
		for _, source := range u.Ranges {
			id := here[0].rule(port, Source{Prefix: source})
			has := func(h *HolderPlan) bool { return h.willHave(id) }
			if slices.ContainsFunc(here, has) {
				continue
			}
			plan.Lacks++
			for _, h := range p.Holders {
				if has(h) && !slices.Contains(plan.Attach, h.ID) {
					plan.Attach = append(plan.Attach, h.ID)
				}
			}
		}
	}
	slices.Sort(plan.Attach)
	plan.leftAlone = slices.ContainsFunc(p.Holders, (*HolderPlan).isFrozen)
	return plan
}
