package secgroup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/words"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

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
		if len(here) == 0 || len(set.interfaces) == 0 {
			continue
		}
		plan := u.lacks(p, here)
		for _, plan.Interface = range set.interfaces {
			plans = append(plans, plan)
		}
	}
	slices.SortFunc(plans, func(a, b InterfacePlan) int { return cmp.Compare(a.ID, b.ID) })
	return plans
}

// lacks counts the rules wanted on the ports that some groups of a pool list and none of them has, and names the groups
// of the pool that have them.
func (u *unit) lacks(p *PoolPlan, here []*HolderPlan) (plan InterfacePlan) {
	for _, port := range p.Ports() {
		if !slices.ContainsFunc(here, func(h *HolderPlan) bool { return slices.Contains(h.Settings.Ports, port) }) {
			continue
		}
		for _, source := range u.Ranges {
			id := here[0].rule(port, Source{Prefix: source})
			if slices.ContainsFunc(here, func(h *HolderPlan) bool { return h.willHave(id) }) {
				continue
			}
			plan.Lacks++
			for _, h := range p.Holders {
				if h.willHave(id) && !slices.Contains(plan.Attach, h.ID) {
					plan.Attach = append(plan.Attach, h.ID)
				}
			}
		}
	}
	slices.Sort(plan.Attach)
	plan.leftAlone = slices.ContainsFunc(p.Holders, func(h HolderPlan) bool { return h.frozen })
	return plan
}
