package secgroup

import (
	"fmt"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

// All pages are read, of groups found by their tag or by their IDs. An error names what was asked for, and the
// permission.
func TestDiscover(t *testing.T) {
	sim, here, api := newSim(ec2sim.Options{})
	vpc, tags := here.OtherVPC(), map[string]string{testKey: "443", "Name": "Web", "empty": ""}
	var ids []string
	for i := range groupsPerPage + 1 {
		g, err := here.CreateGroup(ec2sim.Group{Name: fmt.Sprint("web-", i), VPC: vpc, Tags: tags})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, g.ID)
	}
	for name, tags := range map[string]ec2sim.Tags{"stray": {testKey + "-pool": "web"}, "other": {testKey + "2": "443"}} {
		if _, err := here.CreateGroup(ec2sim.Group{Name: name, VPC: vpc, Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	groups, stray, err := Discover(t.Context(), api, testKey)
	calls := len(sim.ResetCalls())
	if err != nil || len(groups) != len(ids) || len(stray) != 1 || stray[0].GroupName != "stray" || calls != 2 {
		t.Fatalf("%d groups by %d calls, stray tags %v, error %v", len(groups), calls, stray, err)
	}
	g := groups[0]
	named := strings.HasPrefix(g.Name, "web-") && g.VPC == vpc && g.Owner == ec2sim.DefaultAccount
	if !named || !cmp.Equal(g.Tags, tags) || len(g.Egress) == 0 {
		t.Errorf("%+v", g)
	}
	groups, err = Describe(t.Context(), api, append(ids, "sg-gone"))
	if calls = len(sim.ResetCalls()); err != nil || len(groups) != len(ids) || calls != len(ids)/ValuesPerFilter+1 {
		t.Errorf("%d groups by %d calls, error %v", len(groups), calls, err)
	}
	sim.Deny("DescribeSecurityGroups")
	_, err = Describe(t.Context(), api, []string{"sg-1", "sg-2"})
	checkError(t, err, "describe the security groups sg-1, sg-2: ", "grant the permission ec2:DescribeSecurityGroups")
	_, _, err = Discover(t.Context(), api, testKey)
	checkError(t, err, "describe the security groups tagged cloudfront-ingress: ", "grant the permission ec2:Describe")
}

// In a filter * and ? are wildcards, and the tag key is none.
func TestEscapeFilter(t *testing.T) {
	for key, want := range map[string]string{"team/edge:443@x.y": "team/edge:443@x.y", `\*?`: `\\\*\?`, "é*": `é\*`} {
		if got := escapeFilter(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

// A group with a rule that cannot be read fails alone: the others are planned, and none of its rules is touched.
func TestUnreadableRule(t *testing.T) {
	for _, p := range []types.IpPermission{
		{IpRanges: []types.IpRange{{CidrIp: aws.String("13.32.0.0")}}}, {Ipv6Ranges: []types.Ipv6Range{{}}},
	} {
		unread := newGroups(&ec2.DescribeSecurityGroupsOutput{SecurityGroups: []types.SecurityGroup{{
			GroupId: aws.String("sg-1"), IpPermissions: []types.IpPermission{p},
			Tags: []types.Tag{{Key: aws.String(testKey), Value: aws.String("443")}},
		}}})
		plan := newPlan(t, append(unread, group("sg-2", "443", nil)), prefixes("13.32.0.0/15"), nil)
		checkError(t, plan.Failures(), "sg-1: EC2 returned a rule whose source cannot be read")
		checkSteps(t, plan, "authorize sg-2: 443 13.32.0.0/15")
	}
}

// A prefix list weighs as many rules as it may have entries; those of AWS weigh what the user guide says. Without the
// permission to ask, each counts as one.
func TestDiscoverWeighsPrefixLists(t *testing.T) {
	sim, here, api := newSim(ec2sim.Options{RulesPerGroup: 200})
	err := sim.Seed(strings.NewReader(`{"prefixLists": [{"name": "office", "family": "IPv4", "maxEntries": 20},
		{"name": "my.cloudfront.origin-facing", "family": "IPv4", "maxEntries": 3}],
		"groups": [{"name": "web", "tags": {"cloudfront-ingress": "443"}, "ingress": [
			{"protocol": "tcp", "ports": "443", "source": "list:office"},
			{"protocol": "tcp", "ports": "80", "source": "list:office"},
			{"protocol": "tcp", "ports": "443", "source": "list:my.cloudfront.origin-facing"},
			{"protocol": "tcp", "ports": "443", "source": "list:com.amazonaws.global.cloudfront.origin-facing"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, l := range here.PrefixLists() {
		names[l.ID] = l.Name
	}
	weigh := func() (weights map[string]int, err error) {
		groups, _, err := Discover(t.Context(), api, testKey)
		weights = map[string]int{}
		for _, g := range groups {
			for _, r := range g.Ingress {
				w := r.Weighs()
				weights[r.Ports()+" "+names[r.Source.Reference]] = w[IPv4] + 1000*w[IPv6]
			}
		}
		return weights, err
	}
	want := map[string]int{"443 office": 20020, "80 office": 20020, "443 my.cloudfront.origin-facing": 3003}
	want["443 "+ec2sim.CloudFrontIPv4] = 55055
	for _, denied := range []bool{false, true} {
		got, err := weigh()
		if diff := cmp.Diff(want, got); diff != "" || err != nil || len(sim.ResetCalls()) != 2 {
			t.Errorf("denied: %t, error %v, weights: -want +got\n%s", denied, err, diff)
		}
		for name := range want {
			want[name] = 1001
		}
		sim.Deny("DescribeManagedPrefixLists")
	}
	sim.ClearFaults()
	throttled := ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "DescribeManagedPrefixLists", Code: "RequestLimitExceeded"}
	throttled.Count = ec2sim.Forever
	sim.Inject(throttled)
	_, err = weigh()
	checkError(t, err, "describe the prefix lists pl-", "run again later")
}
