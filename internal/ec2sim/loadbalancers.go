package ec2sim

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// loadBalancing is who has the network interfaces of load balancers.
const loadBalancing = "amazon-elb"

// groupsPerLoadBalancer is how many security groups a load balancer may have, whatever the quota of an interface.
//
// https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/4789 (how many)
// https://github.com/boto/boto3/issues/177 (the error)
const groupsPerLoadBalancer = 5

// A LoadBalancer is an Application, Network or Gateway Load Balancer. Its network interfaces have its security groups,
// always; without any, which only a Network Load Balancer can be, everybody gets in.
type LoadBalancer struct {
	Account, Region string
	ARN             string
	Name            string
	Type            string // "application" unless it says otherwise, "network" or "gateway"
	Scheme          string // "internet-facing" unless it says "internal"
	State           string // "active" unless it says otherwise
	VPC             string
	Groups          []string // IDs of its security groups
	Listeners       []Listener
	Attributes      map[string]string // those that differ from what AWS sets
	Tags            Tags

	interfaces []string // IDs
	created    time.Time
}

// A Listener is where a load balancer takes connections.
type Listener struct {
	ARN      string
	Protocol string // such as "HTTPS"
	Port     int32
}

// Addresses are those of one network interface of a load balancer. The zero Addr stands for none, and for a private
// address that the endpoint chooses.
type Addresses struct {
	Subnet    string     `json:"subnet"` // its ID, or its name in a seed; one of the VPC's if empty
	PrivateIP netip.Addr `json:"privateIp"`
	PublicIP  netip.Addr `json:"publicIp"`
	IPv6      netip.Addr `json:"ipv6"`
}

// A balancerType is how a type of load balancer is called elsewhere.
type balancerType struct {
	path          string // in ARNs and in the descriptions of interfaces
	interfaceType string
}

// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkInterface.html
var balancerTypes = map[string]balancerType{
	"application": {"app", "interface"},
	"network":     {"net", "network_load_balancer"},
	"gateway":     {"gwy", "gateway_load_balancer"},
}

// addLoadBalancer creates a load balancer with a network interface for each of the addresses.
func (s *site) addLoadBalancer(lb LoadBalancer, addresses []Addresses) (*LoadBalancer, error) {
	lb.Type = cmp.Or(lb.Type, "application")
	kind, ok := balancerTypes[lb.Type]
	switch {
	case lb.Name == "":
		return nil, validationError("A load balancer name must be specified")
	case !ok:
		return nil, validationError("Value '%s' at 'type' must be application, network or gateway", lb.Type)
	case lb.Type == "gateway" && len(lb.Groups) > 0:
		return nil, invalidConfiguration("Security groups are not supported for load balancers with type 'gateway'")
	}
	for other := range s.loadBalancers.all {
		if other.Name == lb.Name {
			return nil, errorf("DuplicateLoadBalancerName", "A load balancer with the name '%s' exists", lb.Name)
		}
	}
	// Hexadecimal digits, as everywhere, and in the order of creation.
	resource := kind.path + "/" + lb.Name + "/" + strings.TrimPrefix(s.server.newID("lb"), "lb-0")
	prefix := "arn:aws:elasticloadbalancing:" + s.region + ":" + s.account + ":"
	if len(addresses) == 0 {
		addresses = make([]Addresses, 1)
	}
	for _, a := range addresses {
		i, err := s.addInterface(Interface{
			VPC: lb.VPC, Subnet: a.Subnet, Groups: lb.Groups, Description: "ELB " + resource, Requester: loadBalancing,
			Type: kind.interfaceType, PrivateIP: a.PrivateIP, PublicIP: a.PublicIP, IPv6: a.IPv6,
		})
		if err != nil {
			return nil, err
		}
		lb.interfaces = append(lb.interfaces, i.ID)
		lb.VPC, lb.Groups = i.VPC, i.Groups // the default ones, where none were named
	}
	lb.Account, lb.Region, lb.ARN = s.account, s.region, prefix+"loadbalancer/"+resource
	lb.Scheme, lb.State = cmp.Or(lb.Scheme, "internet-facing"), cmp.Or(lb.State, "active")
	lb.created = s.server.now()
	for i := range lb.Listeners {
		lb.Listeners[i].ARN = prefix + "listener/" + resource + "/" + strings.TrimPrefix(s.server.newID("lsn"), "lsn-0")
	}
	s.loadBalancers.put(&lb)
	return &lb, nil
}

func validationError(format string, args ...any) *apiError {
	return errorf("ValidationError", format, args...)
}

func invalidConfiguration(format string, args ...any) *apiError {
	return errorf("InvalidConfigurationRequest", format, args...)
}

// elb makes an action of Elastic Load Balancing of a function from its decoded parameters to its answer. Its protocol
// calls the elements of a list member.1, member.2 and so on, and sends an empty list as an empty string.
//
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
func elb[In, Out any](ids string, do func(*site, In) (Out, error)) action {
	return func(s *site, c *call) (any, error) {
		params := url.Values{}
		for name, values := range c.params {
			if !slices.Equal(values, []string{""}) {
				params[strings.ReplaceAll(name, ".member.", ".")] = values
			}
		}
		var in In
		if err := decodeQuery(params, ids, &in); err != nil {
			return nil, validationError("%s", asAPIError(err).message)
		}
		return do(s, in)
	}
}

// Limits of Elastic Load Balancing: the longest page, which is the usual one, and how many resources a call may name.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeLoadBalancers.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html
const (
	maxPageSize = 400
	mostARNs    = 20
)

// describeELBInput is common to the calls that describe resources of Elastic Load Balancing: they name them by ARN, by
// name, or by the resource they belong to.
type describeELBInput struct {
	Marker       string   `query:"Marker"`
	PageSize     *int     `query:"PageSize"`
	ARNs         []string `query:"*"`
	Names        []string `query:"Names"`
	LoadBalancer string   `query:"LoadBalancerArn"`
	Listener     string   `query:"ListenerArn"`
}

// describeELB makes the action that describes the resources of a table, each in the form that x gives it. Where the
// kind has filters for them, callers may name the resources otherwise than by ARN.
func describeELB[T, X any](of func(*site) *table[T], x func(*site, T) X) action {
	return func(s *site, c *call) (any, error) {
		return elb(of(s).ids, func(s *site, in describeELBInput) (*listing[X], error) {
			t := of(s)
			ask, err := in.ask(t.filters["name"] == nil)
			if err != nil {
				return nil, err
			}
			if _, err := s.loadBalancers.find(in.LoadBalancer); in.LoadBalancer != "" && err != nil {
				return nil, err
			}
			for _, name := range in.Names {
				i := slices.IndexFunc(t.order, func(arn string) bool { return slices.Contains(t.filters["name"](t.byID[arn]), name) })
				if i < 0 {
					return nil, t.absent(name)
				}
				ask.IDs = append(ask.IDs, t.order[i])
			}
			out, err := list(s, t, ask, x)
			if out != nil {
				out.item, out.token = "member", "NextMarker"
			}
			return out, err
		})(s, c)
	}
}

// ask returns the request in the form of EC2's.
func (in describeELBInput) ask(mustName bool) (describeInput, error) {
	size := maxPageSize
	if in.PageSize != nil {
		size = *in.PageSize
	}
	named := 0
	for _, given := range []bool{len(in.ARNs) > 0, len(in.Names) > 0, in.LoadBalancer != "", in.Listener != ""} {
		if given {
			named++
		}
	}
	switch {
	case size < 1 || size > maxPageSize:
		return describeInput{}, validationError("Value '%d' at 'pageSize' failed to satisfy constraint: Member must have value between 1 and %d", size, maxPageSize)
	case len(in.ARNs) > mostARNs:
		return describeInput{}, validationError("Up to %d ARNs can be specified", mostARNs)
	case named > 1:
		return describeInput{}, validationError("Names, ARNs and the resource they belong to cannot be specified at the same time")
	case named == 0 && mustName:
		return describeInput{}, validationError("You must specify either ARNs or the resource they belong to")
	}
	ask := describeInput{paging: paging{MaxResults: &size, NextToken: in.Marker}, IDs: in.ARNs}
	if in.LoadBalancer != "" {
		ask.Filters = []filter{{"load-balancer", []string{in.LoadBalancer}}}
	}
	if in.Listener != "" {
		ask.Filters = []filter{{"listener", []string{in.Listener}}}
	}
	return ask, nil
}

type loadBalancerXML struct {
	ARN         string `xml:"LoadBalancerArn"`
	DNSName     string
	CreatedTime string
	Name        string `xml:"LoadBalancerName"`
	Scheme      string
	VPC         string `xml:"VpcId"`
	State       string `xml:"State>Code"`
	Type        string
	Zones       []balancerZoneXML `xml:"AvailabilityZones>member"`
	Groups      []string          `xml:"SecurityGroups>member"`
	AddressType string            `xml:"IpAddressType"`
}

type balancerZoneXML struct {
	Name   string `xml:"ZoneName"`
	Subnet string `xml:"SubnetId"`
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeLoadBalancers.html
var loadBalancerKind = kind[*LoadBalancer]{
	notFound: "LoadBalancerNotFound", message: "Load balancer '%s' not found",
	set: "LoadBalancers", ids: "LoadBalancerArns", pagesOfIDs: true, smallest: 1, largest: maxPageSize,
	id:      func(lb *LoadBalancer) string { return lb.ARN },
	tags:    func(lb *LoadBalancer) *Tags { return &lb.Tags },
	filters: attributes[*LoadBalancer]{"name": func(lb *LoadBalancer) []string { return []string{lb.Name} }},
}

func (s *site) loadBalancerXML(lb *LoadBalancer) loadBalancerXML {
	x := loadBalancerXML{
		ARN: lb.ARN, DNSName: lb.Name + "-1234567890." + s.region + ".elb.amazonaws.com", CreatedTime: lb.created.UTC().Format(time.RFC3339),
		Name: lb.Name, Scheme: lb.Scheme, VPC: lb.VPC, State: lb.State, Type: lb.Type, Groups: lb.Groups, AddressType: "ipv4",
	}
	for _, id := range lb.interfaces {
		i := s.interfaces.byID[id]
		zone := balancerZoneXML{s.subnets.byID[i.Subnet].zone, i.Subnet}
		if !slices.Contains(x.Zones, zone) {
			x.Zones = append(x.Zones, zone)
		}
		if i.IPv6.IsValid() {
			x.AddressType = "dualstack"
		}
	}
	return x
}

type listenerXML struct {
	ARN          string `xml:"ListenerArn"`
	LoadBalancer string `xml:"LoadBalancerArn"`
	Port         int32
	Protocol     string
	Actions      []actionXML `xml:"DefaultActions>member"`
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeListeners.html
var listenerKind = kind[listenerXML]{
	notFound: "ListenerNotFound", message: "One or more listeners not found: %s",
	set: "Listeners", ids: "ListenerArns", pagesOfIDs: true, smallest: 1, largest: maxPageSize,
	id:      func(l listenerXML) string { return l.ARN },
	filters: attributes[listenerXML]{"load-balancer": func(l listenerXML) []string { return []string{l.LoadBalancer} }},
}

// listeners returns those of all load balancers.
func (s *site) listeners() *table[listenerXML] {
	var all []listenerXML
	for lb := range s.loadBalancers.all {
		for _, l := range lb.Listeners {
			all = append(all, listenerXML{l.ARN, lb.ARN, l.Port, l.Protocol, s.rulesOf(lb, l)[0].Actions})
		}
	}
	return tableOf(&listenerKind, all)
}

type describeBalancerTagsInput struct {
	ARNs []string `query:"*"`
}

type describeBalancerTagsOutput struct {
	Descriptions []tagDescriptionXML `xml:"TagDescriptions>member"`
}

type tagDescriptionXML struct {
	ARN  string         `xml:"ResourceArn"`
	Tags []attributeXML `xml:"Tags>member"`
}

// An attributeXML is an attribute or a tag.
type attributeXML struct{ Key, Value string }

func attributeList[M ~map[string]string](m M) (list []attributeXML) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, attributeXML{key, m[key]})
	}
	return list
}

// describeBalancerTags gives the tags of load balancers and target groups.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html
func (s *site) describeBalancerTags(in describeBalancerTagsInput) (*describeBalancerTagsOutput, error) {
	if n := len(in.ARNs); n < 1 || n > mostARNs {
		return nil, validationError("From 1 to %d resource ARNs can be specified, not %d", mostARNs, n)
	}
	out := &describeBalancerTagsOutput{}
	for _, arn := range in.ARNs {
		var tags Tags
		if tg := s.targetGroups.byID[arn]; tg != nil {
			tags = tg.Tags
		} else if lb, err := s.loadBalancers.find(arn); err != nil {
			return nil, err
		} else {
			tags = lb.Tags
		}
		out.Descriptions = append(out.Descriptions, tagDescriptionXML{arn, attributeList(tags)})
	}
	return out, nil
}

type setGroupsInput struct {
	ARN     string   `query:"LoadBalancerArn"`
	Groups  []string `query:"SecurityGroups"`
	Enforce string   `query:"EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"`
}

// https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/2371 (no such group)
// https://github.com/kubernetes/cloud-provider-aws/issues/78 (another VPC)
var ofLoadBalancer = groupErrors{
	notFound: func(id string) error {
		return errorf("InvalidSecurityGroup", "The security group '%s' does not exist", id)
	},
	otherVPC: func(string) error { return invalidConfiguration("One or more security groups are invalid") },
}

type setGroupsOutput struct {
	Groups []string `xml:"SecurityGroupIds>member"`
}

// setSecurityGroups replaces the groups of a load balancer, and so those of each of its network interfaces. A Network
// Load Balancer that was created without groups stays without.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html
func (s *site) setSecurityGroups(in setGroupsInput) (*setGroupsOutput, error) {
	lb, err := s.loadBalancers.find(in.ARN)
	if err != nil {
		return nil, err
	}
	switch {
	case lb.Type == "gateway":
		return nil, invalidConfiguration("SetSecurityGroups is not supported for load balancers of type 'gateway'")
	case lb.Type == "network" && len(lb.Groups) == 0:
		return nil, invalidConfiguration("You cannot set security groups on a Network Load Balancer that was created without any")
	case len(in.Groups) == 0:
		return nil, invalidConfiguration("A load balancer must have at least one security group")
	case len(in.Groups) > min(groupsPerLoadBalancer, s.groupsPerInterface()):
		return nil, invalidConfiguration("The maximum number of security groups per load balancer has been reached.")
	}
	if err := s.checkGroups(lb.VPC, in.Groups, ofLoadBalancer); err != nil {
		return nil, err
	}
	lb.Groups = in.Groups
	for _, id := range lb.interfaces {
		s.setGroups(s.interfaces.byID[id], in.Groups)
	}
	return &setGroupsOutput{Groups: in.Groups}, nil
}

// CreateLoadBalancer creates a load balancer of the given name, type, scheme, state, VPC, groups, listeners and tags,
// with one network interface for each of the addresses, or one without a public address if there are none.
func (r Region) CreateLoadBalancer(lb LoadBalancer, interfaces ...Addresses) (created LoadBalancer, err error) {
	err = r.change(func(s *site) error {
		lb.Groups, lb.Listeners, lb.Tags = slices.Clone(lb.Groups), slices.Clone(lb.Listeners), maps.Clone(lb.Tags)
		added, err := s.addLoadBalancer(lb, interfaces)
		if err != nil {
			return fmt.Errorf("create the load balancer %s: %w", lb.Name, err)
		}
		created = *added
		return nil
	})
	return created, err
}

// LoadBalancers returns all load balancers as they are now.
func (r Region) LoadBalancers() (balancers []LoadBalancer) {
	r.look(func(s *site) { balancers = copies(&s.loadBalancers) })
	return balancers
}
