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
	switch {
	case g.Name == "" || g.Protocol == "":
		refuse("ValidationError", "A target group has a name and a protocol")
	case !slices.Contains([]string{"instance", "ip", "lambda", "alb"}, g.Type):
		refuse("ValidationError", "Value '%s' at 'targetType' must be instance, ip, lambda or alb", g.Type)
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
func (s *site) describeRules(in struct {
	ARN string `json:"ListenerArn"`
},
) body {
	l := one(s.listeners, func(l *listener) bool { return l.ARN == in.ARN }, "ListenerNotFound", "One or more listeners not found")
	return body{{"Rules", list("member", append(slices.Clone(l.Rules), l.rule("default", nil, l.Actions)))}}
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetGroups.html
func (s *site) describeTargetGroups(in ofLoadBalancer) body {
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
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html#client-ip-preservation
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
func (s *site) describeTargetGroupAttributes(in ofTargetGroup) body {
	g := in.find(s)
	set := Tags{"deregistration_delay.timeout_seconds": "300", "stickiness.enabled": "false"}
	if !strings.HasPrefix(g.Protocol, "HTTP") { // of a Network Load Balancer
		set["preserve_client_ip.enabled"] = strconv.FormatBool(g.Type != "ip" || g.Protocol != "TCP" && g.Protocol != "TLS")
		set["proxy_protocol_v2.enabled"] = "false"
	}
	return body{{"Attributes", merged(set, g.Attributes).pairs("member", "Key", "Value")}}
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html
func (s *site) describeTargetHealth(in ofTargetGroup) body {
	return body{{"TargetHealthDescriptions", list("member", in.find(s).Targets)}}
}
