package secgroup_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"time"

	"cloudfront-sg-sync/secgroup"
)

// A group has one range of an earlier publication. The plan adds the new ones before it revokes the old one, and leaves
// the office's rule alone.
func ExampleNewPlan() {
	published := time.Date(2026, 8, 22, 15, 17, 5, 0, time.UTC)
	stamp := secgroup.Stamp{TagKey: "cloudfront-ingress", Services: []string{"CLOUDFRONT"}, Published: published}
	rule := func(source, description string) secgroup.Rule {
		from := secgroup.Source{Prefix: netip.MustParsePrefix(source)}
		id := secgroup.RuleID{Protocol: "tcp", From: 443, To: 443, Source: from}
		return secgroup.Rule{RuleID: id, Description: description}
	}
	groups := []secgroup.Group{{
		ID: "sg-1", Name: "web", VPC: "vpc-1",
		Tags:    map[string]string{"cloudfront-ingress": "443"},
		Ingress: []secgroup.Rule{rule("192.0.2.0/24", "office"), rule("13.32.0.0/15", stamp.String())},
	}}
	plan, err := secgroup.NewPlan(context.Background(), groups, secgroup.Request{
		Stamp:            stamp,
		Ranges:           []netip.Prefix{netip.MustParsePrefix("18.64.0.0/14"), netip.MustParsePrefix("2600:9000::/28")},
		RulesPerGroup:    60,
		MaxRevokePercent: 100,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, step := range plan.Pools[0].Steps {
		fmt.Println(step)
		for _, r := range step.Rules() {
			fmt.Println("  ", r.RuleID)
		}
	}
	// Output:
	// authorize 2 rules in sg-1
	//    tcp 443 from 18.64.0.0/14
	//    tcp 443 from 2600:9000::/28
	// revoke 1 rule in sg-1
	//    tcp 443 from 13.32.0.0/15
}
