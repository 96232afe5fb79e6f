package setup

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/secgroup"
)

// A tool makes load balancers and security groups, and undoes what others do to them.
type tool struct {
	// toBalancer and toGroup say what it does to a setup of its load balancer and of its group. These formats take what
	// it owns, and the owner's name.
	toBalancer, toGroup string
	// task and rule say how its user refers to prefix lists; dash is between the ports of a range in the rule's name.
	task, rule, dash string
}

// An owner is a tool, and which of them it is.
type owner struct {
	*tool
	name string // of the cluster, stack or environment; empty if no tag names an owner
	// kind is the kind of object that a controller in Kubernetes created the load balancer for: ingress, service,
	// gateway, or empty. object is its NAMESPACE/NAME, or the name of a group of Ingresses.
	kind, object string
}

const byList = "With --prefix-list no group is attached, and a rule in the configuration refers to a list instead."

// The tools. See, on Elastic Beanstalk,
// https://docs.aws.amazon.com/elasticbeanstalk/latest/dg/command-options-general.html
var (
	kubernetes = &tool{
		toBalancer: "%s belongs to the Kubernetes cluster %s, whose load balancer controller removes groups and rules that it did " +
			"not create. So CloudFront gets in through prefix lists, to which the controller's own rules refer.",
		toGroup: "%s belongs to the Kubernetes cluster %s, which restores rules that are revoked, so setup leaves its rules alone; see docs/prefix-lists.md.",
	}
	beanstalk = &tool{
		toBalancer: "%s belongs to the Elastic Beanstalk environment %s: add the group to SecurityGroups of aws:elbv2:loadbalancer " +
			"in .ebextensions as well, beside the group that ManagedSecurityGroup names, or the next deployment detaches it. Its " +
			"CloudFormation stack is Beanstalk's own: do not edit that.",
		toGroup: "%s belongs to the Elastic Beanstalk environment %s, which may restore a rule that is closed here: name a group of your own " +
			"with ManagedSecurityGroup and SecurityGroups of aws:elbv2:loadbalancer in .ebextensions.",
		task: "Add these rules to Resources in .ebextensions, as the stack is Elastic Beanstalk's own, with the group's name " +
			"(AWSEBLoadBalancerSecurityGroup of a load balancer).",
		rule: cloudFormationRule, dash: "To",
	}
	cloudFormation = &tool{
		toBalancer: "%s belongs to CloudFormation stack %s: add the group to its template as well, or the next update that sets the groups " +
			"will detach it. With --prefix-list no group is attached, and a rule in the template refers to a list instead.",
		toGroup: "%s belongs to CloudFormation stack %s: remove a rule that is closed here from its template as well, or a later update " +
			"may restore it.",
		task: "Add these rules to the template of stack STACK, with the group's name there.",
		rule: cloudFormationRule, dash: "To",
	}
	terraform = &tool{
		toBalancer: "According to its tags, %s belongs to %s. " + byList,
		toGroup: "According to its tags, %s belongs to %s: remove a rule that is closed here from the configuration as well, or the next " +
			"apply may restore it. " + byList,
		task: "Add this rule to the Terraform configuration that has the group, with the group's name there.",
		rule: terraformRule, dash: "_",
	}
)

// Rules that let a list in on ports, as CloudFormation and Terraform have them.
const (
	cloudFormationRule = `CloudFrontPORTSFamily:
  Type: AWS::EC2::SecurityGroupIngress
  Properties:
    GroupId: !GetAtt OriginGroup.GroupId
    IpProtocol: tcp
    FromPort: FROM
    ToPort: TO
    SourcePrefixListId: LIST`
	terraformRule = `resource "aws_vpc_security_group_ingress_rule" "cloudfront_PORTS_family" {
  security_group_id = aws_security_group.origin.id
  ip_protocol       = "tcp"
  from_port         = FROM
  to_port           = TO
  prefix_list_id    = "LIST"
}`
)

// kindKeys are the tags of a controller's load balancer that name the object it was created for.
var kindKeys = map[string]string{
	"ingress.k8s.aws/stack": "ingress", "service.k8s.aws/stack": "service",
	"gateway.k8s.aws.alb/stack": "gateway", "gateway.k8s.aws.nlb/stack": "gateway",
}

// ownersOf returns the owners that tags name, the one to obey first, and at the end one without a name: what nobody
// marks may be Terraform's. See
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html,
// https://docs.aws.amazon.com/elasticbeanstalk/latest/dg/applications-tagging-resources.html,
// https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/security_groups/ and
// https://github.com/kubernetes-sigs/aws-load-balancer-controller (pkg/deploy/tracking, pkg/gateway/constants)
func ownersOf(tags map[string]string) []owner {
	cluster := owner{tool: kubernetes, name: tags["elbv2.k8s.aws/cluster"]}
	marked := owner{tool: terraform}
	for key, value := range tags {
		if name, ok := strings.CutPrefix(key, "kubernetes.io/cluster/"); ok && value == "owned" {
			cluster.name = cmp.Or(cluster.name, name)
		}
		if kind := kindKeys[key]; kind != "" && value != "" {
			cluster.kind, cluster.object = kind, value
		}
		habit := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(key))
		if habit == "managedby" && strings.EqualFold(value, "terraform") || habit == "terraform" && value != "false" {
			marked.name = "Terraform"
		}
	}
	owners := []owner{
		cluster,
		{tool: beanstalk, name: tags["elasticbeanstalk:environment-name"]},
		{tool: cloudFormation, name: tags["aws:cloudformation:stack-name"]},
		marked,
	}
	return append(slices.DeleteFunc(owners, func(o owner) bool { return o.name == "" }), owner{tool: terraform})
}

// OwnerNote says how to keep the owner of a group from opening a rule again that is closed there.
func (state *State) OwnerNote(group string) string {
	g := state.group(group)
	o := ownersOf(g.Tags)[0]
	if o.name == "" {
		return ""
	}
	return fmt.Sprintf(o.toGroup, g.ID+" "+g.Name, o.name)
}

// A Handover tells the owner of the groups how to let CloudFront in through the lists.
type Handover struct {
	Text string `json:"text"`
	// Paste is a command to paste unchanged. It is empty if that could shut CloudFront out.
	Paste []string `json:"paste"`
}

// Handover returns the owner's task once the lists are full.
func (s *Setup) Handover(state *State) *Handover {
	o := state.owner
	if o.tool == kubernetes {
		return s.annotate(state)
	}
	task := strings.Replace(o.task, "STACK", o.name, 1) +
		" Keep all other rules until you have run this again and it says that CloudFront gets in."
	var rules []string
	for _, p := range s.Ports {
		for _, l := range state.Lists() {
			family := l.Family.String()
			r := strings.NewReplacer("PORTS", strings.ReplaceAll(p.String(), "-", o.dash), "family", strings.ToLower(family), "Family", family,
				"FROM", fmt.Sprint(p.From), "TO", fmt.Sprint(p.To), "LIST", l.ID)
			rules = append(rules, strings.Split(r.Replace(o.rule), "\n")...)
		}
	}
	return &Handover{task, rules}
}

// annotate returns the task of those who configure a controller in Kubernetes. The controller may remove rules before it
// adds others: up to v2.9 it always does, and later versions do if the group is nearly full. So everyone is let in until
// CloudFront gets in by the lists. See
// https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/3639
func (s *Setup) annotate(state *State) *Handover {
	if f := s.uncovered(state); f != "" {
		return &Handover{Text: fmt.Sprintf("Do not refer to the lists yet: the controller would then close what is open to the world, and the "+
			"load balancer has %s addresses, for which there is no list. Run this again for both families.", f)}
	}
	o, ids, world := state.owner, idsOf(state.Lists()), s.worldOf(state.Scene.Groups()...)
	keep := ""
	if len(world) > 0 {
		keep = " Everyone is let in as before: the controller may remove the old rules before it adds the new ones. Run this again: " +
			"once CloudFront gets in by the lists, it prints the command that keeps everyone else out."
	}
	settings := min(1+len(world), 2) // those of the lists and, if everyone is let in, of the world
	kind, object, lists, sources := o.annotations()
	switch {
	case object != "":
		command := []string{"kubectl annotate", kind, object, lists + "=" + strings.Join(ids, ","), sources + "=" + strings.Join(world, ",")}
		return &Handover{fmt.Sprintf("Have %s %s refer to the lists, and add the same annotations to its manifest.%s",
			strings.ToUpper(kind[:1])+kind[1:], o.object, keep), []string{strings.Join(command[:3+settings], " ")}}
	case o.kind == "gateway":
		// Some versions keep their default for sourceRanges, the whole world, along with the lists:
		// https://github.com/kubernetes-sigs/aws-load-balancer-controller/blob/main/pkg/gateway/model/model_build_security_group.go
		paste := []string{"spec:", "  securityGroupPrefixes: [" + strings.Join(ids, ", ") + "]", `  sourceRanges: ["` + strings.Join(world, `", "`) + `"]`}
		return &Handover{fmt.Sprintf("Add this to the LoadBalancerConfiguration of Gateway %s. Make sourceRanges empty only when you have run "+
			"this again and it says that CloudFront gets in.", o.object), paste[:1+settings]}
	}
	return &Handover{
		fmt.Sprintf("Have the controller of cluster %s refer to the lists: docs/prefix-lists.md shows how for Ingress, Service and "+
			"Gateway. For an Ingress, add this.%s", o.name, keep),
		[]string{lists + ": " + strings.Join(ids, ","), sources + `: "` + strings.Join(world, ",") + `"`}[:settings],
	}
}

// Narrowing returns how the owner of the groups closes what is open to the world, once CloudFront gets in without it.
// It returns nil if there is nothing to close, or no command that closes it.
func (s *Setup) Narrowing(state *State, open []Opening) *Handover {
	kind, object, _, sources := state.owner.annotations()
	if len(open) == 0 || object == "" || s.uncovered(state) != "" {
		return nil
	}
	return &Handover{
		fmt.Sprintf("CloudFront gets in by the lists now. Remove the annotation that lets in everyone from %s %s, and from its manifest.",
			kind, state.owner.object),
		[]string{fmt.Sprintf("kubectl annotate %s %s %s-", kind, object, sources)},
	}
}

// annotations returns how a command names the object of a controller, empty if it cannot, and the keys of the
// annotations for prefix lists and source ranges. They are those of an Ingress unless the object is a Service. See
// https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/ and
// https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/
func (o owner) annotations() (kind, object, lists, sources string) {
	kind, lists, sources = "ingress", "alb.ingress.kubernetes.io/security-group-prefix-lists", "alb.ingress.kubernetes.io/inbound-cidrs"
	if o.kind == "service" {
		const prefix = "service.beta.kubernetes.io/"
		kind, lists, sources = "service", prefix+"aws-load-balancer-security-group-prefix-lists", prefix+"load-balancer-source-ranges"
	}
	if namespace, name, named := strings.Cut(o.object, "/"); named && kind == o.kind {
		object = fmt.Sprintf("--namespace %s %s", namespace, name)
	}
	return kind, object, lists, sources
}

// worldOf returns all of IPv4 or IPv6, or both, if rules of the groups open the ports to the world by them.
func (s *Setup) worldOf(groups ...secgroup.Group) (sources []string) {
	for _, w := range door.World(&door.Scene{Subjects: []door.Subject{{Groups: groups}}}, s.TagKey, s.Ports) {
		source := [...]string{"0.0.0.0/0", "::/0"}[secgroup.FamilyOf(w.Rule.Source.Prefix)]
		if slices.ContainsFunc(s.Ports, w.Counts) && !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	slices.Sort(sources)
	return sources
}

// uncovered returns a family for which there is no list that is filled, although an interface has addresses of it.
func (s *Setup) uncovered(state *State) string {
	for _, subject := range state.Scene.Subjects {
		for _, f := range families {
			listed := slices.ContainsFunc(state.Lists(), func(l secgroup.Holder) bool { return l.Family == f })
			if reaches(subject.Interface, f) && !(listed && s.Wants(f)) {
				return f.String()
			}
		}
	}
	return ""
}

var families = []secgroup.Family{secgroup.IPv4, secgroup.IPv6}

func reaches(i *door.Interface, f secgroup.Family) bool {
	return f == secgroup.IPv4 && len(i.PrivateIPv4) > 0 || f == secgroup.IPv6 && len(i.IPv6) > 0
}
