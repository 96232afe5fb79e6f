package ec2sim

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A targetGroup is where a load balancer passes connections on to.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroup.html
type targetGroup struct {
	Account       string   `json:"account" xml:"-"`
	Region        string   `json:"region" xml:"-"`
	VPC           string   `json:"vpc" xml:"VpcId"`
	ARN           string   `json:"-" xml:"TargetGroupArn"`
	Name          string   `json:"name" xml:"TargetGroupName" filter:"name"`
	Protocol      string   `json:"protocol"`              // such as "TCP" or "HTTP"
	Port          int32    `json:"port"`                  // of targets that name none
	Type          string   `json:"type" xml:"TargetType"` // "instance" unless it says "ip", "lambda" or "alb"
	AddressType   string   `json:"addressType" xml:"IpAddressType"`
	LoadBalancers []string `json:"-" xml:"LoadBalancerArns>member" filter:"load-balancer"`

	Listeners  []string `json:"listeners" xml:"-"` // those that pass on to it, such as shop:443
	Targets    []target `json:"targets" xml:"-"`
	Attributes Tags     `json:"attributes" xml:"-"` // those that differ from what AWS sets
	Tags       Tags     `json:"tags" xml:"-"`
	Headers    Tags     `json:"headers" xml:"-"` // that the rules which lead to it demand
}

func (g *targetGroup) key() string { return g.ARN }

// A target takes connections from a load balancer.
type target struct {
	ID    string `json:"id" xml:"Target>Id"` // of an instance, or an IP address, or an ARN
	Port  int32  `json:"port" xml:"Target>Port"`
	State string `json:"state" xml:"TargetHealth>State"` // "healthy" unless it says otherwise
}

// addTargetGroup creates a target group behind the listeners it names. The first target group of a listener is the one
// of its default rule, unless it has headers; the others have rules of their own.
func (s *site) addTargetGroup(g targetGroup) error {
	g.Type, g.AddressType = cmp.Or(g.Type, "instance"), cmp.Or(g.AddressType, "ipv4")
	for i, t := range g.Targets {
		g.Targets[i].Port, g.Targets[i].State = cmp.Or(t.Port, g.Port), cmp.Or(t.State, "healthy")
	}
	switch {
	case g.Name == "" || g.Protocol == "":
		return validationError("A target group has a name and a protocol")
	case !slices.Contains([]string{"instance", "ip", "lambda", "alb"}, g.Type):
		return validationError("Value '%s' at 'targetType' must be instance, ip, lambda or alb", g.Type)
	case g.Attributes[preserve] == "false" && !mayChangePreserve(g.Protocol):
		return invalidConfiguration("Client IP preservation cannot be disabled for protocol %s", g.Protocol)
	}
	for other := range s.targetGroups.all {
		if other.Name == g.Name {
			return errorf("DuplicateTargetGroupName", "A target group with the name '%s' exists", g.Name)
		}
	}
	g.ARN = s.balancingARN("targetgroup/" + g.Name + "/" + s.server.newHexID())
	for _, name := range g.Listeners {
		l := s.listener(name)
		if l == nil {
			return validationError("There is no listener %q, such as shop:443", name)
		}
		if !slices.Contains(g.LoadBalancers, l.Balancer) {
			g.LoadBalancers = append(g.LoadBalancers, l.Balancer)
		}
		forward := []body{{{"Type", "forward"}, {"TargetGroupArn", g.ARN}, {"Order", 1}}}
		if len(g.Headers) == 0 && (len(l.Actions) == 0 || l.Actions[0][0].value != "forward") {
			l.Actions = forward
		} else {
			l.Rules = append(l.Rules, listenerRule(l, strconv.Itoa(len(l.Rules)+1), g.conditions(), forward))
		}
	}
	s.targetGroups.put(&g)
	return nil
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

func listenerRule(l *listener, priority string, conditions, actions []body) body {
	return body{
		{"RuleArn", strings.Replace(l.ARN, ":listener/", ":listener-rule/", 1) + "/" + priority},
		{"Priority", priority},
		{"IsDefault", priority == "default"},
		{"Conditions", list("member", conditions)},
		{"Actions", list("member", actions)},
	}
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeRules.html
func (s *site) rules(in struct {
	Listener string `query:"ListenerArn"`
},
) (body, error) {
	l, err := s.listeners().find(in.Listener)
	if err != nil {
		return nil, err
	}
	return body{{"Rules", list("member", append(slices.Clone(l.Rules), listenerRule(l, "default", nil, l.Actions)))}}, nil
}

// listener finds a listener by the name of its load balancer and its port, such as shop:443.
func (s *site) listener(name string) *listener {
	for lb := range s.loadBalancers.all {
		for _, l := range lb.Listeners {
			if name == lb.Name+":"+strconv.Itoa(int(l.Port)) {
				return l
			}
		}
	}
	return nil
}

// preserve is the attribute that says whether targets of a Network Load Balancer see the addresses of its clients.
const preserve = "preserve_client_ip.enabled"

// mayChangePreserve reports whether client addresses may be preserved or not: other protocols always do.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html#client-ip-preservation
func mayChangePreserve(protocol string) bool { return protocol == "TCP" || protocol == "TLS" }

type targetGroupInput struct {
	ARN string `query:"TargetGroupArn"`
}

// targetGroupAttributes gives the attributes that say what targets see.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
func (s *site) targetGroupAttributes(in targetGroupInput) (body, error) {
	g, err := s.targetGroups.find(in.ARN)
	if err != nil {
		return nil, err
	}
	set := Tags{"deregistration_delay.timeout_seconds": "300", "stickiness.enabled": "false"}
	if !strings.HasPrefix(g.Protocol, "HTTP") { // of a Network Load Balancer
		set[preserve] = strconv.FormatBool(g.Type != "ip" || !mayChangePreserve(g.Protocol))
		set["proxy_protocol_v2.enabled"] = "false"
	}
	return body{{"Attributes", pairs(merged(set, g.Attributes))}}, nil
}

// pairs lists attributes or tags.
func pairs(m Tags) body {
	var all []body
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, body{{"Key", key}, {"Value", m[key]}})
	}
	return list("member", all)
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html
func (s *site) targetHealth(in targetGroupInput) (body, error) {
	g, err := s.targetGroups.find(in.ARN)
	if err != nil {
		return nil, err
	}
	return body{{"TargetHealthDescriptions", list("member", g.Targets)}}, nil
}
