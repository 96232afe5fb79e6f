package ec2sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A TargetGroup is where a load balancer passes connections on to.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroup.html
type TargetGroup struct {
	ARN           string   `xml:"TargetGroupArn"`
	Name          string   `xml:"TargetGroupName"`
	Protocol      string   // such as "TCP" or "HTTP"
	Port          int32    // of targets that name none
	VPC           string   `xml:"VpcId"`
	Type          string   `xml:"TargetType"` // "instance" unless it says "ip", "lambda" or "alb"
	AddressType   string   `xml:"IpAddressType"`
	LoadBalancers []string `xml:"LoadBalancerArns>member"`

	Listeners  []string          `xml:"-"` // ARNs of the listeners that pass on to it
	Targets    []Target          `xml:"-"`
	Attributes map[string]string `xml:"-"` // those that differ from what AWS sets
	Tags       Tags              `xml:"-"`
}

// A Target takes connections from a load balancer.
type Target struct {
	ID    string `xml:"Target>Id"` // of an instance, or an IP address, or an ARN
	Port  int32  `xml:"Target>Port"`
	State string `xml:"TargetHealth>State"` // "healthy" unless it says otherwise
}

// targetGroupKind has the ways to name target groups.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetGroups.html
var targetGroupKind = kind[*TargetGroup]{
	notFound: "TargetGroupNotFound", message: "One or more target groups not found: %s",
	set: "TargetGroups", ids: "TargetGroupArns", pagesOfIDs: true, smallest: 1, largest: maxPageSize,
	id: func(g *TargetGroup) string { return g.ARN },
	filters: attributes[*TargetGroup]{
		"name":          func(g *TargetGroup) []string { return []string{g.Name} },
		"load-balancer": func(g *TargetGroup) []string { return g.LoadBalancers },
	},
}

// CreateTargetGroup creates a target group behind the listeners it names. The first target group of a listener is the
// one of its default rule; each further one gets a rule of its own.
func (r Region) CreateTargetGroup(g TargetGroup) (created TargetGroup, err error) {
	err = r.change(func(s *site) error {
		added, err := s.addTargetGroup(g)
		if err != nil {
			return fmt.Errorf("create the target group %s: %w", g.Name, err)
		}
		created = *added
		return nil
	})
	return created, err
}

func (s *site) addTargetGroup(g TargetGroup) (*TargetGroup, error) {
	g.Type, g.AddressType, g.VPC = cmp.Or(g.Type, "instance"), cmp.Or(g.AddressType, "ipv4"), cmp.Or(g.VPC, s.defaultVPC().ID)
	g.Targets, g.Attributes, g.Tags = slices.Clone(g.Targets), maps.Clone(g.Attributes), maps.Clone(g.Tags)
	for i, t := range g.Targets {
		g.Targets[i].Port, g.Targets[i].State = cmp.Or(t.Port, g.Port), cmp.Or(t.State, "healthy")
	}
	switch {
	case g.Name == "" || g.Protocol == "":
		return nil, validationError("A target group has a name and a protocol")
	case !slices.Contains([]string{"instance", "ip", "lambda", "alb"}, g.Type):
		return nil, validationError("Value '%s' at 'targetType' must be instance, ip, lambda or alb", g.Type)
	case g.Attributes[preserve] == "false" && !mayChangePreserve(g.Protocol):
		return nil, invalidConfiguration("Client IP preservation cannot be disabled for protocol %s", g.Protocol)
	}
	for other := range s.targetGroups.all {
		if other.Name == g.Name {
			return nil, errorf("DuplicateTargetGroupName", "A target group with the name '%s' exists", g.Name)
		}
	}
	for _, arn := range g.Listeners {
		l, err := s.listeners().find(arn)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(g.LoadBalancers, l.LoadBalancer) {
			g.LoadBalancers = append(slices.Clone(g.LoadBalancers), l.LoadBalancer)
		}
	}
	g.ARN = "arn:aws:elasticloadbalancing:" + s.region + ":" + s.account + ":targetgroup/" + g.Name + "/" + strings.TrimPrefix(s.server.newID("tg"), "tg-0")
	s.targetGroups.put(&g)
	return &g, nil
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

type attributesOutput struct {
	Attributes []attributeXML `xml:"Attributes>member"`
}

// targetGroupAttributes gives the attributes that say what targets see.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
func (s *site) targetGroupAttributes(in targetGroupInput) (*attributesOutput, error) {
	g, err := s.targetGroups.find(in.ARN)
	if err != nil {
		return nil, err
	}
	set := map[string]string{"deregistration_delay.timeout_seconds": "300", "stickiness.enabled": "false"}
	if !strings.HasPrefix(g.Protocol, "HTTP") { // of a Network Load Balancer
		set[preserve] = strconv.FormatBool(g.Type != "ip" || !mayChangePreserve(g.Protocol))
		set["proxy_protocol_v2.enabled"] = "false"
	}
	return &attributesOutput{attributeList(merged(set, g.Attributes))}, nil
}

type targetHealthOutput struct {
	Targets []Target `xml:"TargetHealthDescriptions>member"`
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html
func (s *site) targetHealth(in targetGroupInput) (*targetHealthOutput, error) {
	g, err := s.targetGroups.find(in.ARN)
	if err != nil {
		return nil, err
	}
	return &targetHealthOutput{g.Targets}, nil
}

type loadBalancerInput struct {
	ARN string `query:"LoadBalancerArn"`
}

// loadBalancerAttributes gives the attributes that say who gets in, and for how long.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html
func (s *site) loadBalancerAttributes(in loadBalancerInput) (*attributesOutput, error) {
	lb, err := s.loadBalancers.find(in.ARN)
	if err != nil {
		return nil, err
	}
	set := map[string]string{
		"deletion_protection.enabled":       "false",
		"load_balancing.cross_zone.enabled": strconv.FormatBool(lb.Type == "application"),
	}
	if lb.Type == "application" {
		set["idle_timeout.timeout_seconds"] = "60"
	}
	if lb.Type != "gateway" {
		set["ipv6.deny_all_igw_traffic"] = strconv.FormatBool(lb.Scheme == "internal")
	}
	return &attributesOutput{attributeList(merged(set, lb.Attributes))}, nil
}

// A listenerRuleXML says what a listener does with which requests.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Rule.html
type listenerRuleXML struct {
	ARN        string         `xml:"RuleArn"`
	Priority   string         // a number, or "default"
	Default    bool           `xml:"IsDefault"`
	Conditions []conditionXML `xml:"Conditions>member"`
	Actions    []actionXML    `xml:"Actions>member"`

	listener string
}

type conditionXML struct {
	Field  string
	Values []string `xml:"Values>member"`
}

type actionXML struct {
	Type        string
	TargetGroup string `xml:"TargetGroupArn,omitempty"`
	Order       int
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeRules.html
var listenerRuleKind = kind[listenerRuleXML]{
	notFound: "RuleNotFound", message: "One or more rules not found: %s",
	set: "Rules", ids: "RuleArns", pagesOfIDs: true, smallest: 1, largest: maxPageSize,
	id:      func(r listenerRuleXML) string { return r.ARN },
	filters: attributes[listenerRuleXML]{"listener": func(r listenerRuleXML) []string { return []string{r.listener} }},
}

// listenerRules returns those of all listeners.
func (s *site) listenerRules() *table[listenerRuleXML] {
	var all []listenerRuleXML
	for lb := range s.loadBalancers.all {
		for _, l := range lb.Listeners {
			all = append(all, s.rulesOf(lb, l)...)
		}
	}
	return tableOf(&listenerRuleKind, all)
}

// rulesOf returns the rules of a listener, the default one first. Without a target group, it answers by itself.
func (s *site) rulesOf(lb *LoadBalancer, l Listener) (rules []listenerRuleXML) {
	prefix := strings.Replace(l.ARN, ":listener/", ":listener-rule/", 1) + "/"
	for g := range s.targetGroups.all {
		if !slices.Contains(g.Listeners, l.ARN) {
			continue
		}
		r := listenerRuleXML{ARN: prefix + g.ARN[strings.LastIndex(g.ARN, "/")+1:], Actions: []actionXML{{"forward", g.ARN, 1}}, listener: l.ARN}
		if r.Priority = "default"; len(rules) > 0 {
			r.Priority = strconv.Itoa(len(rules))
			r.Conditions = []conditionXML{{"path-pattern", []string{"/" + g.Name + "/*"}}}
		}
		r.Default = len(rules) == 0
		rules = append(rules, r)
	}
	if len(rules) == 0 {
		r := listenerRuleXML{ARN: prefix + "0000000000000000", Priority: "default", Default: true, listener: l.ARN}
		if lb.Type == "application" {
			r.Actions = []actionXML{{"fixed-response", "", 1}}
		}
		rules = append(rules, r)
	}
	return rules
}
