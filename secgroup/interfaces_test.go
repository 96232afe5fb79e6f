package secgroup

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A rule is revoked where the interfaces that have it have what replaces it, whatever the pool as a whole has.
func TestPlanAtInterfaces(t *testing.T) {
	together, first, second := []string{"sg-0", "sg-1"}, []string{"sg-0"}, []string{"sg-1"}
	pool := func(rules1, rules2 []Rule) []Group {
		groups := pooled("443", "443")
		groups[0].Ingress, groups[1].Ingress = rules1, rules2
		return groups
	}
	twice := pool(ours("443", "13.32.0.0/15", "18.64.0.0/14"), ours("443", "13.32.0.0/15"))
	recut := pool(ours("443", "13.32.0.0/16", "13.33.0.0/16"), ours("443", "13.32.0.0/15", "18.64.0.0/14"))
	gone := pool(ours("443", "13.32.0.0/15", "18.64.0.0/14", "1.0.0.0/24"), nil)
	for name, test := range map[string]struct {
		groups   []Group
		attached [][]string // nil if nobody may look
		want     []string
	}{
		"a second copy goes from the group that is attached nowhere": {
			twice, [][]string{first}, []string{"redescribe sg-0: 443 13.32.0.0/15", "revoke sg-1: 443 13.32.0.0/15"},
		},
		"no copy to give up, attached apart":  {twice, [][]string{first, second}, nil},
		"no copy to give up, nobody may look": {twice, nil, nil},
		"what is not wanted, and nobody may look": {
			gone, nil, []string{"redescribe sg-0: 443 13.32.0.0/15", "revoke sg-0: 443 1.0.0.0/24"},
		},
		"replaced in another group, and this one attached alone as well": {recut, [][]string{together, first}, []string{
			"authorize sg-0: 443 13.32.0.0/15", "revoke sg-0: 443 13.32.0.0/16, 443 13.33.0.0/16",
			"revoke sg-1: 443 13.32.0.0/15",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := &Attachments{Unknown: test.attached == nil}
			for _, ids := range test.attached {
				a.Interfaces = append(a.Interfaces, Interface{ID: fmt.Sprint("eni-", len(a.Interfaces)), Groups: ids})
			}
			plan := newPlan(t, test.groups, prefixes("13.32.0.0/15", "18.64.0.0/14"), func(r *Request) {
				r.Attachments, r.RulesPerGroup = a, 3
			})
			checkSteps(t, plan, test.want...)
			if err := plan.Failures(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The interfaces of a plan, compared with a count by hand: of each wanted rule on each port that the interface's
// groups list, does one of them have it?
func TestInterfacePlansAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups, req := genScene(t)
		if req.Attachments == nil {
			req.Attachments = &Attachments{Interfaces: []Interface{{ID: "eni-0", Groups: []string{"sg-0"}}}}
		}
		plan := mustPlan(t, groups, req)
		m := newModel(t, 0, take(t, plan))
		for _, pool := range plan.Pools {
			if pool.Err != nil && len(pool.Interfaces) == 0 {
				continue // refused
			}
			var want []InterfacePlan
			for i := range req.Attachments.Interfaces {
				p := InterfacePlan{Interface: &req.Attachments.Interfaces[i]}
				if slices.ContainsFunc(pool.IDs(), func(id string) bool { return slices.Contains(p.Groups, id) }) {
					p.Lacks, p.Attach = lackedBy(m, pool, p.Interface, req)
					want = append(want, p)
				}
			}
			if diff := cmp.Diff(want, pool.Interfaces, compare); diff != "" {
				t.Fatalf("pool %s: -want +got\n%s", pool.Name, diff)
			}
		}
	})
}

// lackedBy counts what an interface lacks of a pool, and lists the groups that have any of it.
func lackedBy(m *model, pool PoolPlan, eni *Interface, req Request) (lacks int, attach []string) {
	wanted := map[RuleID]bool{}
	for _, g := range pool.Holders {
		if slices.Contains(eni.Groups, g.ID) {
			for _, id := range wantedRules(*g.Holder, req.Ranges) {
				wanted[id] = true
			}
		}
	}
	for id := range wanted {
		var there []string
		for _, g := range pool.Holders {
			if slices.ContainsFunc(m.groups[g.ID].Ingress, func(r Rule) bool { return r.RuleID == id }) {
				there = append(there, g.ID)
			}
		}
		if !slices.ContainsFunc(there, func(group string) bool { return slices.Contains(eni.Groups, group) }) {
			lacks++
			attach = append(attach, there...)
		}
	}
	slices.Sort(attach)
	return lacks, slices.Compact(attach)
}

// The command that attaches what is missing names all groups, as it replaces those that there are, and goes through the
// load balancer if there is one.
func TestInterfacePlanCommand(t *testing.T) {
	const region, groups = " --region eu-west-1", "-groups sg-1 sg-2 sg-3"
	instance := "aws ec2 modify-network-interface-attribute" + region + " --network-interface-id eni-1 -" + groups
	for description, want := range map[string]string{
		"ELB app/shop/50dc6c495c0c9188": "aws elbv2 set-security-groups" + region +
			` --load-balancer-arn "$(aws elbv2 describe-load-balancers` + region + ` --names shop` +
			` --query 'LoadBalancers[0].LoadBalancerArn' --output text)" --security` + groups,
		"i-0123456789abcdef0": instance,
		"":                    instance,
		"ELB classic": "aws elb apply-security-groups-to-load-balancer" + region + " --load-balancer-name classic" +
			" --security" + groups,
	} {
		eni := Interface{ID: "eni-1", Region: "eu-west-1", Description: description, Groups: []string{"sg-1"}}
		p := InterfacePlan{Interface: &eni, Lacks: 3, Attach: []string{"sg-2", "sg-3"}}
		attach := strings.Contains(p.String(), "attach sg-2 and sg-3 to it as well, beside sg-1")
		if !strings.HasSuffix(p.String(), ": "+want) || !attach {
			t.Errorf("%q: %s", description, p)
		}
	}
}
