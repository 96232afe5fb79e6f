package secgroup

import (
	"context"
	"maps"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/awserr"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// Weight is a number of rules for each [Family]: what a rule takes of a group's quota, or what a group has left of it.
type Weight [2]int

// Add adds n times o.
func (w *Weight) Add(o Weight, n int) {
	for f := range w {
		w[f] += n * o[f]
	}
}

// Weighs returns what the rule counts against its holder's room, which is never zero: unless Weight says more, one rule
// in the family of its IP range, or for a reference one rule in both.
//
// See "Security groups" in Amazon VPC quotas:
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
func (r Rule) Weighs() Weight {
	switch {
	case r.Weight != Weight{}:
		return r.Weight
	case !r.Source.Prefix.IsValid():
		return Weight{1, 1}
	case FamilyOf(r.Source.Prefix) == IPv4:
		return Weight{1, 0}
	}
	return Weight{0, 1}
}

// managedWeights are the weights of the prefix lists that AWS manages, by their names without "com.amazonaws", the
// region and "ipv6". EC2 does not return them; those that are not here count as one. See "AWS-managed prefix list
// weight" in https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html
var managedWeights = map[string]int{
	"cloudfront.origin-facing": 55,
	"ec2-instance-connect":     2,
	"groundstation":            5,
	"route53-healthchecks":     25,
	"s3express":                6,
	"vpc-lattice":              10,
}

// weighPrefixLists sets the weight of the rules that refer to prefix lists. It asks EC2 only if there are any. A prefix
// list counts, in both families, as many rules as it may have entries. Without the permission to ask each counts as
// one: EC2 will refuse what does not fit.
func weighPrefixLists(ctx context.Context, api ec2.DescribeManagedPrefixListsAPIClient, groups []Group) error {
	referring := map[string][]*Rule{}
	for _, g := range groups {
		for i, r := range g.Ingress {
			if id := r.Source.Reference; strings.HasPrefix(id, "pl-") {
				referring[id] = append(referring[id], &g.Ingress[i])
			}
		}
	}
	lists, err := DescribeLists(ctx, api, slices.Sorted(maps.Keys(referring)))
	if awserr.IsDenied(err) {
		return nil
	}
	for _, l := range lists {
		n := max(1, l.MaxEntries)
		if name, managed := strings.CutPrefix(l.Name, "com.amazonaws."); managed {
			_, name, _ = strings.Cut(name, ".") // without the region
			n = max(n, managedWeights[strings.TrimPrefix(name, "ipv6.")])
		}
		for _, r := range referring[l.ID] {
			r.Weight = Weight{n, n}
		}
	}
	return err
}
