package ec2sim

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
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

// A loadBalancer is an Application, Network or Gateway Load Balancer. Its network interfaces have its security groups,
// always; without any, which only a Network Load Balancer can be, everybody gets in.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancer.html
type loadBalancer struct {
	Account    string      `json:"account" xml:"-"`
	Region     string      `json:"region" xml:"-"`
	VPC        string      `json:"vpc" xml:"VpcId"`
	ARN        string      `json:"-" xml:"LoadBalancerArn"`
	Name       string      `json:"name" xml:"LoadBalancerName" filter:"name"`
	Type       string      `json:"type"`                               // "application" unless it says "network" or "gateway"
	Scheme     string      `json:"scheme"`                             // "internet-facing" unless it says "internal"
	State      string      `json:"state" xml:"State>Code"`             // "active" unless it says otherwise
	Groups     []string    `json:"groups" xml:"SecurityGroups>member"` // IDs of its security groups
	Listeners  []*listener `json:"listeners" xml:"-"`
	Interfaces []addresses `json:"interfaces" xml:"-"` // in a seed
	Tags       Tags        `json:"tags" xml:"-"`
	Created    string      `json:"-" xml:"CreatedTime"`

	interfaces []string // IDs
}

func (lb *loadBalancer) key() string { return lb.ARN }

// A listener is where a load balancer takes connections.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Listener.html
type listener struct {
	ARN      string `xml:"ListenerArn"`
	Balancer string `xml:"LoadBalancerArn" filter:"load-balancer"`
	Port     int32
	Protocol string // such as "HTTPS"
	Actions  []body `xml:"DefaultActions>member"`
	Rules    []body `xml:"-"` // the others
}

func (l *listener) key() string { return l.ARN }

// UnmarshalText reads a listener of a seed, such as HTTPS:443.
func (l *listener) UnmarshalText(text []byte) error {
	protocol, number, _ := strings.Cut(string(text), ":")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || protocol == "" {
		return fmt.Errorf("%q is not a protocol and a port, such as HTTPS:443", text)
	}
	l.Protocol, l.Port = protocol, int32(port)
	return nil
}

// addresses are those of one network interface of a load balancer. The zero Addr stands for none, and for a private
// address that the endpoint chooses.
type addresses struct {
	Subnet    string     `json:"subnet"` // one of the VPC's if empty
	PrivateIP netip.Addr `json:"privateIp"`
	PublicIP  netip.Addr `json:"publicIp"`
	IPv6      netip.Addr `json:"ipv6"`
}

// The kinds of resources of Elastic Load Balancing. Their filters are the other ways to name them.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeLoadBalancers.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeListeners.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetGroups.html
var (
	loadBalancerKind = kind{
		notFound: "LoadBalancerNotFound", message: "Load balancer '%s' not found",
		set: "LoadBalancers", ids: "LoadBalancerArns", pagesOfIDs: true, smallest: 1, largest: maxPageSize,
	}
	listenerKind = kind{
		notFound: "ListenerNotFound", message: "One or more listeners not found: %s",
		set: "Listeners", ids: "ListenerArns", pagesOfIDs: true, smallest: 1, largest: maxPageSize,
	}
	targetGroupKind = kind{
		notFound: "TargetGroupNotFound", message: "One or more target groups not found: %s",
		set: "TargetGroups", ids: "TargetGroupArns", pagesOfIDs: true, smallest: 1, largest: maxPageSize,
	}
)

// balancerTypes say how each type of load balancer is called in ARNs and in the descriptions of its interfaces, and
// what type these have.
//
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkInterface.html
var balancerTypes = map[string]struct{ path, interfaceType string }{
	"application": {"app", "interface"},
	"network":     {"net", "network_load_balancer"},
	"gateway":     {"gwy", "gateway_load_balancer"},
}

// addLoadBalancer creates a load balancer with its network interfaces, one without a public address if it lists none.
func (s *site) addLoadBalancer(lb loadBalancer) error {
	lb.Type = cmp.Or(lb.Type, "application")
	kind, ok := balancerTypes[lb.Type]
	switch {
	case lb.Name == "":
		return validationError("A load balancer name must be specified")
	case !ok:
		return validationError("Value '%s' at 'type' must be application, network or gateway", lb.Type)
	case lb.Type == "gateway" && len(lb.Groups) > 0:
		return invalidConfiguration("Security groups are not supported for load balancers with type 'gateway'")
	}
	for other := range s.loadBalancers.all {
		if other.Name == lb.Name {
			return errorf("DuplicateLoadBalancerName", "A load balancer with the name '%s' exists", lb.Name)
		}
	}
	resource := kind.path + "/" + lb.Name + "/" + s.server.newHexID()
	if len(lb.Interfaces) == 0 {
		lb.Interfaces = make([]addresses, 1)
	}
	for _, a := range lb.Interfaces {
		i, err := s.addInterface(Interface{
			VPC: lb.VPC, Subnet: a.Subnet, Groups: lb.Groups, Description: "ELB " + resource, Requester: loadBalancing,
			Type: kind.interfaceType, PrivateIP: a.PrivateIP, PublicIP: a.PublicIP, IPv6: a.IPv6,
		})
		if err != nil {
			return err
		}
		lb.interfaces = append(lb.interfaces, i.ID)
		lb.VPC, lb.Groups = i.VPC, i.Groups // the default ones, where none were named
	}
	lb.ARN, lb.Created = s.balancingARN("loadbalancer/"+resource), s.server.now().UTC().Format(time.RFC3339)
	lb.Scheme, lb.State = cmp.Or(lb.Scheme, "internet-facing"), cmp.Or(lb.State, "active")
	for _, l := range lb.Listeners {
		l.ARN, l.Balancer = s.balancingARN("listener/"+resource+"/"+s.server.newHexID()), lb.ARN
		if lb.Type == "application" { // until it has a target group
			l.Actions = []body{{{"Type", "fixed-response"}, {"Order", 1}}}
		}
	}
	s.loadBalancers.put(&lb)
	return nil
}

func (s *site) balancingARN(resource string) string {
	return "arn:aws:elasticloadbalancing:" + s.region + ":" + s.account + ":" + resource
}

func validationError(format string, args ...any) *apiError {
	return errorf("ValidationError", format, args...)
}

func invalidConfiguration(format string, args ...any) *apiError {
	return errorf("InvalidConfigurationRequest", format, args...)
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
// name, or by the load balancer they belong to.
type describeELBInput struct {
	Marker       string   `query:"Marker"`
	PageSize     *int     `query:"PageSize"`
	ARNs         []string `query:"*"`
	Names        []string `query:"Names"`
	LoadBalancer string   `query:"LoadBalancerArn"`
}

// describeELB makes the action that describes the resources of a table, each in the form that x gives it.
func describeELB[T resource, X any](of func(*site) *table[T], x func(*site, T) X) action {
	return func(s *site, c *call) (any, error) {
		return elb(of(s).ids, func(s *site, in describeELBInput) (body, error) {
			t := of(s)
			ask, err := in.ask(t.set)
			if err != nil {
				return nil, err
			}
			if _, err := s.loadBalancers.find(in.LoadBalancer); in.LoadBalancer != "" && err != nil {
				return nil, err
			}
			for _, name := range in.Names {
				named, _, err := t.describe(describeInput{Filters: []filter{{"name", []string{name}}}})
				if err != nil || len(named) == 0 {
					return nil, cmp.Or(err, t.absent(name))
				}
				ask.IDs = append(ask.IDs, named[0].key())
			}
			return answer(s, t, ask, "member", "NextMarker", x)
		})(s, c)
	}
}

// ask returns the request in the form of EC2's. Listeners must be named.
func (in describeELBInput) ask(set string) (describeInput, error) {
	size := maxPageSize
	if in.PageSize != nil {
		size = *in.PageSize
	}
	named := 0
	for _, given := range []bool{len(in.ARNs) > 0, len(in.Names) > 0, in.LoadBalancer != ""} {
		if given {
			named++
		}
	}
	ask := describeInput{paging: paging{MaxResults: &size, NextToken: in.Marker}, IDs: in.ARNs}
	switch {
	case size < 1 || size > maxPageSize:
		return ask, validationError("Value '%d' at 'pageSize' failed to satisfy constraint: Member must have value between 1 and %d", size, maxPageSize)
	case len(in.ARNs) > mostARNs:
		return ask, validationError("Up to %d ARNs can be specified", mostARNs)
	case named > 1:
		return ask, validationError("Names, ARNs and the resource they belong to cannot be specified at the same time")
	case named == 0 && set == listenerKind.set:
		return ask, validationError("You must specify either ARNs or the resource they belong to")
	case in.LoadBalancer != "":
		ask.Filters = []filter{{"load-balancer", []string{in.LoadBalancer}}}
	}
	return ask, nil
}

type loadBalancerXML struct {
	*loadBalancer
	DNSName     string
	AddressType string `xml:"IpAddressType"`
	Zones       []body `xml:"AvailabilityZones>member"`
}

func (s *site) loadBalancerXML(lb *loadBalancer) loadBalancerXML {
	x := loadBalancerXML{loadBalancer: lb, DNSName: lb.Name + "-1234567890." + s.region + ".elb.amazonaws.com", AddressType: "ipv4"}
	var subnets []string
	for _, id := range lb.interfaces {
		i := s.interfaces.byID[id]
		if !slices.Contains(subnets, i.Subnet) {
			subnets = append(subnets, i.Subnet)
			x.Zones = append(x.Zones, body{{"ZoneName", s.subnets.byID[i.Subnet].Zone}, {"SubnetId", i.Subnet}})
		}
		if i.IPv6.IsValid() {
			x.AddressType = "dualstack"
		}
	}
	return x
}

// listeners returns those of all load balancers.
func (s *site) listeners() *table[*listener] {
	var all []*listener
	for lb := range s.loadBalancers.all {
		all = append(all, lb.Listeners...)
	}
	return tableOf(&listenerKind, all)
}

type describeBalancerTagsInput struct {
	ARNs []string `query:"*"`
}

// describeBalancerTags gives the tags of load balancers and target groups.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html
func (s *site) describeBalancerTags(in describeBalancerTagsInput) (body, error) {
	if n := len(in.ARNs); n < 1 || n > mostARNs {
		return nil, validationError("From 1 to %d resource ARNs can be specified, not %d", mostARNs, n)
	}
	var descriptions []body
	for _, arn := range in.ARNs {
		var tags Tags
		if tg := s.targetGroups.byID[arn]; tg != nil {
			tags = tg.Tags
		} else if lb, err := s.loadBalancers.find(arn); err != nil {
			return nil, err
		} else {
			tags = lb.Tags
		}
		descriptions = append(descriptions, body{{"ResourceArn", arn}, {"Tags", pairs(tags)}})
	}
	return body{{"TagDescriptions", list("member", descriptions)}}, nil
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

// setSecurityGroups replaces the groups of a load balancer, and so those of each of its network interfaces. A Network
// Load Balancer that was created without groups stays without.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html
func (s *site) setSecurityGroups(in setGroupsInput) (body, error) {
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
	return body{{"SecurityGroupIds", list("member", in.Groups)}}, nil
}
