package ec2sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A loadBalancer is an Application, Network or Gateway Load Balancer. Its network interfaces have its security groups,
// always; without any, which only a Network Load Balancer can be, everybody gets in.
// See https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancer.html
type loadBalancer struct {
	Account    string      `json:"account" xml:"-"`
	Region     string      `json:"region" xml:"-"`
	VPC        string      `json:"vpc" xml:"VpcId"`
	ARN        string      `json:"-" xml:"LoadBalancerArn"`
	Name       string      `json:"name" xml:"LoadBalancerName"`
	Type       string      `json:"type"`                               // "application" unless it says "network" or "gateway"
	Scheme     string      `json:"scheme"`                             // "internet-facing" unless it says "internal"
	Groups     []string    `json:"groups" xml:"SecurityGroups>member"` // IDs of its security groups
	Listeners  []listener  `json:"listeners" xml:"-"`
	Interfaces []Interface `json:"interfaces" xml:"-"` // in a seed, where they have addresses and subnets
	Tags       Tags        `json:"tags" xml:"-"`
	DNSName    string      `json:"-"`
	IPType     string      `json:"-" xml:"IpAddressType"`
	State      string      `json:"-" xml:"State>Code"`

	interfaces []*Interface
}

// A listener is where a load balancer takes connections.
// See https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Listener.html
type listener struct {
	ARN      string `xml:"ListenerArn"`
	Balancer string `xml:"LoadBalancerArn"`
	Port     int32
	Protocol string // such as "HTTPS"
	Actions  []body `xml:"DefaultActions>member"`
	Rules    []body `xml:"-"` // the others

	name string // in a seed, such as shop:443
}

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

// balancerTypes say how each type of load balancer is called in ARNs and in the descriptions of its interfaces, and
// what type these have.
// See https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
// and https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkInterface.html
var balancerTypes = map[string]struct{ path, interfaceType string }{
	"application": {"app", "interface"},
	"network":     {"net", "network_load_balancer"},
	"gateway":     {"gwy", "gateway_load_balancer"},
}

// addLoadBalancer creates a load balancer with its network interfaces, one without a public address if it lists none.
func (s *site) addLoadBalancer(lb *loadBalancer) {
	lb.Type = cmp.Or(lb.Type, "application")
	kind, ok := balancerTypes[lb.Type]
	if !ok {
		must(fmt.Errorf("type: %q is not application, network or gateway", lb.Type))
	}
	resource := kind.path + "/" + lb.Name + "/" + s.server.newHexID()
	if len(lb.Interfaces) == 0 {
		lb.Interfaces = make([]Interface, 1)
	}
	lb.IPType = "ipv4"
	for _, i := range lb.Interfaces {
		i.VPC, i.Groups, i.Description, i.Requester, i.Type = lb.VPC, lb.Groups, "ELB "+resource, "amazon-elb", kind.interfaceType
		created := s.addInterface(i)
		lb.interfaces = append(lb.interfaces, created)
		lb.VPC, lb.Groups = created.VPC, created.Groups // the default ones, where none were named
		if i.IPv6.IsValid() {
			lb.IPType = "dualstack"
		}
	}
	lb.ARN = s.arn("elasticloadbalancing", "loadbalancer/"+resource)
	lb.Scheme, lb.State = cmp.Or(lb.Scheme, "internet-facing"), "active"
	lb.DNSName = lb.Name + "-1234567890." + s.region + ".elb.amazonaws.com"
	for i := range lb.Listeners {
		l := &lb.Listeners[i]
		l.name = lb.Name + ":" + strconv.Itoa(int(l.Port))
		l.ARN, l.Balancer = s.arn("elasticloadbalancing", "listener/"+resource+"/"+s.server.newHexID()), lb.ARN
		if lb.Type == "application" { // until it has a target group
			l.Actions = []body{{{"Type", "fixed-response"}, {"Order", 1}}}
		}
		s.listeners = append(s.listeners, l)
	}
	s.loadBalancers = append(s.loadBalancers, lb)
}

// newHexID returns the end of an ARN of Elastic Load Balancing: hexadecimal digits, in the order of creation.
func (s *Server) newHexID() string { return strings.TrimPrefix(s.newID("x"), "x-0") }

// one returns the element of which is reports true, and refuses if there is none.
func one[T any](all []T, is func(T) bool, code, message string) T {
	i := slices.IndexFunc(all, is)
	if i < 0 {
		refuse(code, "%s", message)
	}
	return all[i]
}

func (s *site) loadBalancer(id string) *loadBalancer {
	is := func(lb *loadBalancer) bool { return id == lb.ARN || id == lb.Name }
	return one(s.loadBalancers, is, "LoadBalancerNotFound", "Load balancer '"+id+"' not found")
}

// describeLoadBalancers gives the load balancers that a caller names, or all of them if it names none.
// See https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeLoadBalancers.html
func (s *site) describeLoadBalancers(_ *call, in struct {
	ARNs  []string `json:"LoadBalancerArns"`
	Names []string `json:"Names"`
},
) body {
	var named []*loadBalancer
	for _, id := range slices.Concat(in.ARNs, in.Names) {
		named = append(named, s.loadBalancer(id))
	}
	other := func(lb *loadBalancer) bool { return named != nil && !slices.Contains(named, lb) }
	return body{{"LoadBalancers", list("member", slices.DeleteFunc(slices.Clone(s.loadBalancers), other))}}
}

type ofLoadBalancer struct {
	ARN string `json:"LoadBalancerArn"`
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeListeners.html
func (s *site) describeListeners(_ *call, in ofLoadBalancer) body {
	return body{{"Listeners", list("member", s.loadBalancer(in.ARN).Listeners)}}
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html
func (s *site) describeBalancerTags(_ *call, in struct {
	ARNs []string `json:"ResourceArns"`
},
) body {
	var descriptions []body
	for _, arn := range in.ARNs {
		tags := s.loadBalancer(arn).Tags.pairs("member", "Key", "Value")
		descriptions = append(descriptions, body{{"ResourceArn", arn}, {"Tags", tags}})
	}
	return body{{"TagDescriptions", list("member", descriptions)}}
}

// setSecurityGroups replaces the groups of a load balancer, and so those of each of its network interfaces. A Network
// Load Balancer that was created without groups stays without.
// See https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html
// and https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/4789 (5 groups at most)
// and https://github.com/boto/boto3/issues/177 (the error)
func (s *site) setSecurityGroups(_ *call, in struct {
	ofLoadBalancer
	Groups []string `json:"SecurityGroups"`
},
) body {
	lb := s.loadBalancer(in.ARN)
	switch {
	case len(lb.Groups) == 0:
		refuse("InvalidConfigurationRequest", "You cannot set security groups on a load balancer that was created without any")
	case len(in.Groups) == 0 || len(in.Groups) > min(5, s.quotas.groupsPerInterface()):
		refuse("InvalidConfigurationRequest", "A load balancer must have from 1 to 5 security groups")
	}
	for _, i := range lb.interfaces {
		s.setGroups(i, in.Groups)
	}
	lb.Groups = in.Groups
	return body{{"SecurityGroupIds", list("member", in.Groups)}}
}

// A targetGroup is where a load balancer passes connections on to.
// See https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroup.html
type targetGroup struct {
	Account       string   `json:"account" xml:"-"`
	Region        string   `json:"region" xml:"-"`
	VPC           string   `json:"vpc" xml:"VpcId"`
	ARN           string   `json:"-" xml:"TargetGroupArn"`
	Name          string   `json:"name" xml:"TargetGroupName"`
	Protocol      string   `json:"protocol"`              // such as "TCP" or "HTTP"
	Port          int32    `json:"port"`                  // of targets that name none
	Type          string   `json:"type" xml:"TargetType"` // "instance" unless it says "ip", "lambda" or "alb"
	LoadBalancers []string `json:"-" xml:"LoadBalancerArns>member"`

	Listeners  []string `json:"listeners" xml:"-"` // those that pass on to it, such as shop:443
	Targets    []target `json:"targets" xml:"-"`
	Attributes Tags     `json:"attributes" xml:"-"` // those that differ from what AWS sets
	Headers    Tags     `json:"headers" xml:"-"`    // that the rules which lead to it demand
}

// A target takes connections from a load balancer.
type target struct {
	ID    string `json:"id" xml:"Target>Id"` // of an instance, or an IP address, or an ARN
	Port  int32  `json:"port" xml:"Target>Port"`
	State string `json:"state" xml:"TargetHealth>State"` // "healthy" unless it says otherwise
}

// addTargetGroup creates a target group behind the listeners it names. The first target group of a listener is the one
// of its default rule, unless it has headers; the others have rules of their own.
func (s *site) addTargetGroup(g *targetGroup) {
	g.Type = cmp.Or(g.Type, "instance")
	for i, t := range g.Targets {
		g.Targets[i].Port, g.Targets[i].State = cmp.Or(t.Port, g.Port), cmp.Or(t.State, "healthy")
	}
	g.ARN = s.arn("elasticloadbalancing", "targetgroup/"+g.Name+"/"+s.server.newHexID())
	for _, name := range g.Listeners {
		l := one(s.listeners, func(l *listener) bool { return l.name == name }, "ValidationError", "There is no listener \""+name+"\", such as shop:443")
		if !slices.Contains(g.LoadBalancers, l.Balancer) {
			g.LoadBalancers = append(g.LoadBalancers, l.Balancer)
		}
		forward := []body{{{"Type", "forward"}, {"TargetGroupArn", g.ARN}, {"Order", 1}}}
		if len(g.Headers) == 0 && (len(l.Actions) == 0 || l.Actions[0][0].value != "forward") {
			l.Actions = forward
		} else {
			l.Rules = append(l.Rules, l.rule(strconv.Itoa(len(l.Rules)+1), g.conditions(), forward))
		}
	}
	s.targetGroups = append(s.targetGroups, g)
}

// conditions are those of a rule that leads to a group: its name in the path, and its headers.
func (g *targetGroup) conditions() []body {
	all := []body{{{"Field", "path-pattern"}, {"Values", list("member", []string{"/" + g.Name + "/*"})}}}
	for _, name := range slices.Sorted(maps.Keys(g.Headers)) {
		header := body{{"HttpHeaderName", name}, {"Values", list("member", []string{g.Headers[name]})}}
		all = append(all, body{{"Field", "http-header"}, {"HttpHeaderConfig", header}})
	}
	return all
}

func (l *listener) rule(priority string, conditions, actions []body) body {
	return body{
		{"RuleArn", strings.Replace(l.ARN, ":listener/", ":listener-rule/", 1) + "/" + priority},
		{"Priority", priority},
		{"IsDefault", priority == "default"},
		{"Conditions", list("member", conditions)},
		{"Actions", list("member", actions)},
	}
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeRules.html
func (s *site) describeRules(_ *call, in struct {
	ARN string `json:"ListenerArn"`
},
) body {
	l := one(s.listeners, func(l *listener) bool { return l.ARN == in.ARN }, "ListenerNotFound", "One or more listeners not found")
	return body{{"Rules", list("member", append(slices.Clone(l.Rules), l.rule("default", nil, l.Actions)))}}
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetGroups.html
func (s *site) describeTargetGroups(_ *call, in ofLoadBalancer) body {
	if in.ARN != "" {
		s.loadBalancer(in.ARN)
	}
	elsewhere := func(g *targetGroup) bool { return in.ARN != "" && !slices.Contains(g.LoadBalancers, in.ARN) }
	return body{{"TargetGroups", list("member", slices.DeleteFunc(slices.Clone(s.targetGroups), elsewhere))}}
}

type ofTargetGroup struct {
	ARN string `json:"TargetGroupArn"`
}

func (in ofTargetGroup) find(s *site) *targetGroup {
	is := func(g *targetGroup) bool { return g.ARN == in.ARN }
	return one(s.targetGroups, is, "TargetGroupNotFound", "One or more target groups not found: "+in.ARN)
}

// describeTargetGroupAttributes gives the attributes that say what targets see. The clients' addresses are preserved
// unless the protocol and the type of targets leave a choice.
// See https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html
// and https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
func (s *site) describeTargetGroupAttributes(_ *call, in ofTargetGroup) body {
	g := in.find(s)
	set := Tags{"deregistration_delay.timeout_seconds": "300", "stickiness.enabled": "false"}
	if !strings.HasPrefix(g.Protocol, "HTTP") { // of a Network Load Balancer
		set["preserve_client_ip.enabled"] = strconv.FormatBool(g.Type != "ip" || g.Protocol != "TCP" && g.Protocol != "TLS")
		set["proxy_protocol_v2.enabled"] = "false"
	}
	return body{{"Attributes", merged(set, g.Attributes).pairs("member", "Key", "Value")}}
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html
func (s *site) describeTargetHealth(_ *call, in ofTargetGroup) body {
	return body{{"TargetHealthDescriptions", list("member", in.find(s).Targets)}}
}
