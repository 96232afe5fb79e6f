package door_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

// An origin is an endpoint with groups and interfaces, and a client for it.
type origin struct {
	*ec2sim.Server
	here   ec2sim.Region
	api    *ec2.Client
	groups map[string]string // IDs by name
}

// newOrigin has a group "web" that lets all of 18.64.0.0/14 in on port 443 and the groups "half-1" and "half-2" that do
// together.
func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{Server: ec2sim.New(ec2sim.Options{}), groups: map[string]string{}}
	server := httptest.NewServer(o.Server)
	t.Cleanup(server.Close)
	o.here = o.Region("", "us-east-1")
	o.api = ec2.NewFromConfig(engine.Config(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("any", "any", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}, "", ""))
	for name, cidr := range map[string]string{"web": "18.64.0.0/14", "half-1": "18.64.0.0/15", "half-2": "18.66.0.0/15"} {
		o.group(t, name, ec2sim.TCP(443, 443, netip.MustParsePrefix(cidr)))
	}
	return o
}

func (o *origin) group(t *testing.T, name string, permissions ...ec2sim.Permission) {
	t.Helper()
	g := ec2sim.Group{Name: name}
	for _, p := range permissions {
		g.Ingress = append(g.Ingress, ec2sim.Rule{Permission: p})
	}
	created, err := o.here.CreateGroup(g)
	if err != nil {
		t.Fatal(err)
	}
	o.groups[name] = created.ID
}

// attach creates an interface with groups and returns its ID.
func (o *origin) attach(t *testing.T, i ec2sim.Interface, groups ...string) string {
	t.Helper()
	for _, name := range groups {
		i.Groups = append(i.Groups, o.groups[name])
	}
	created, err := o.here.CreateInterface(i)
	if err != nil {
		t.Fatal(err)
	}
	return created.ID
}

func question() door.Question {
	return door.Question{
		Wanted:   &iprange.Publication{IPv4: []netip.Prefix{netip.MustParsePrefix("18.64.0.0/14")}},
		Families: []secgroup.Family{secgroup.IPv4}, TagKey: "cloudfront-ingress",
	}
}

// verdicts renders the subjects of a report, such as "eni-1 open".
func (o *origin) verdicts(t *testing.T, s door.Selector) []string {
	t.Helper()
	report, err := check(t.Context(), o.api, s, question())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range report.Subjects {
		what := "groups"
		if s.Interface != nil {
			what = s.Interface.ID
		}
		for _, g := range s.Groups {
			what += " " + g.Name
		}
		lines = append(lines, what+" "+string(s.Verdict))
	}
	return lines
}

// Every way to name an origin leads to its interfaces, each with all its groups.
func TestSelectors(t *testing.T) {
	o := newOrigin(t)
	public := netip.MustParseAddr("198.51.100.7")
	ipv6 := netip.MustParseAddr("2600:1f18::7")
	first := o.attach(t, ec2sim.Interface{Instance: "i-0123456789abcdef0", PublicIP: public, IPv6: ipv6}, "half-1", "half-2")
	second := o.attach(t, ec2sim.Interface{Instance: "i-0123456789abcdef0"}, "half-1")
	alb := o.attach(t, ec2sim.Interface{Description: "ELB app/shop/0123456789abcdef", Requester: "amazon-elb"}, "web")
	nlb := o.attach(t, ec2sim.Interface{Description: "ELB net/shop/fedcba9876543210", Requester: "amazon-elb", Type: "network_load_balancer"})
	classic := o.attach(t, ec2sim.Interface{Description: "ELB shop", Requester: "amazon-elb"}, "half-2")
	o.attach(t, ec2sim.Interface{Description: "ELB app/shop-2/0123456789abcdef", Requester: "amazon-elb"}, "half-1")
	o.attach(t, ec2sim.Interface{Description: "ELB shopping", Requester: "amazon-elb"}, "half-1")
	cases := []struct {
		name string
		s    door.Selector
		want []string
	}{
		{"groups together", door.Selector{Groups: []string{o.groups["half-1"], o.groups["half-2"], o.groups["half-1"]}}, []string{"groups half-1 half-2 open"}},
		{"one of them", door.Selector{Groups: []string{o.groups["half-1"]}}, []string{"groups half-1 blocked"}},
		{"instance", door.Selector{Instances: []string{"i-0123456789abcdef0"}}, []string{first + " half-1 half-2 open", second + " half-1 blocked"}},
		{"interface", door.Selector{Interfaces: []string{first}}, []string{first + " half-1 half-2 open"}},
		{"load balancers of each kind", door.Selector{LoadBalancers: []string{"shop"}}, []string{alb + " web open", nlb + " open", classic + " half-2 blocked"}},
		{"public address", door.Selector{Addresses: []netip.Addr{public}}, []string{first + " half-1 half-2 open"}},
		{"IPv6 address", door.Selector{Addresses: []netip.Addr{ipv6}}, []string{first + " half-1 half-2 open"}},
		{
			"several, each once",
			door.Selector{Groups: []string{o.groups["web"]}, Interfaces: []string{second}, Instances: []string{"i-0123456789abcdef0"}, Addresses: []netip.Addr{public, ipv6}},
			[]string{"groups web open", second + " half-1 blocked", first + " half-1 half-2 open"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, o.verdicts(t, c.s)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// One error names all that does not exist.
func TestNotFound(t *testing.T) {
	o := newOrigin(t)
	cases := []struct {
		s    door.Selector
		want []string
	}{
		{door.Selector{}, []string{"nothing to check"}},
		{door.Selector{Groups: []string{"web"}}, []string{`"web" is not a security group's ID such as sg-`}},
		{door.Selector{Instances: []string{"i-1"}}, []string{`"i-1" is not an instance's ID`}},
		{door.Selector{Interfaces: []string{"sg-0123456789abcdef0"}}, []string{`"sg-0123456789abcdef0" is not a network interface's ID`}},
		{door.Selector{LoadBalancers: []string{"app/*"}}, []string{`"app/*" is not a load balancer's name`}},
		{door.Selector{Groups: []string{"sg-0123456789abcdef0", o.groups["web"], "sg-01234567"}}, []string{"no security group sg-01234567;", "no security group sg-0123456789abcdef0;"}},
		{door.Selector{Instances: []string{"i-01234567"}, Interfaces: []string{"eni-01234567"}}, []string{"no network interface eni-01234567;", "instance i-01234567 has no network interface;"}},
		{door.Selector{LoadBalancers: []string{"shop"}}, []string{"no network interface of a load balancer shop;"}},
		{door.Selector{Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.7")}}, []string{"no network interface with the address 198.51.100.7;"}},
	}
	for _, c := range cases {
		_, err := check(t.Context(), o.api, c.s, question())
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%+v: %v, want %q", c.s, err, want)
			}
		}
		if _, notFound := errors.AsType[*door.NotFoundError](err); notFound != strings.Contains(err.Error(), "; check the ") {
			t.Errorf("%+v: %T", c.s, err)
		}
	}
}

// Prefix lists are read to their last page, and count in the family they have.
func TestPrefixListsAreRead(t *testing.T) {
	o := newOrigin(t)
	var entries []ec2sim.PrefixListEntry
	for i := range 256 { // a /14 in 1,024ths would be too many for a list, in 256ths it is three pages
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{18, byte(64 + i/64), byte(i % 64 * 4), 0}), 22)
		entries = append(entries, ec2sim.PrefixListEntry{Prefix: prefix})
	}
	list := o.here.PrefixLists()[0]
	if err := o.here.SetEntries(list.ID, entries...); err != nil {
		t.Fatal(err)
	}
	o.group(t, "managed", ec2sim.Permission{Protocol: "tcp", From: 443, To: 443, Source: ec2sim.Source{Reference: list.ID}})
	s := door.Selector{Groups: []string{o.groups["managed"]}}
	if diff := cmp.Diff([]string{"groups managed open"}, o.verdicts(t, s)); diff != "" {
		t.Error(diff)
	}
	calls := 0
	for _, c := range o.Calls() {
		if c.Action == "GetManagedPrefixListEntries" {
			calls++
		}
	}
	if calls != 3 {
		t.Errorf("256 entries were read with %d calls", calls)
	}
	// One entry less is one range blocked.
	if err := o.here.SetEntries(list.ID, slices.Delete(entries, 100, 101)...); err != nil {
		t.Fatal(err)
	}
	report, err := check(t.Context(), o.api, s, question())
	if err != nil {
		t.Fatal(err)
	}
	f := report.Subjects[0].Ports[0].Families[0]
	if got := fmt.Sprint(f.Verdict, f.Blocked); got != "blocked{1024 [18.65.144.0/22]}" {
		t.Errorf("got %s", got)
	}
	want := door.PrefixListReport{ID: list.ID, Name: ec2sim.CloudFrontIPv4, Owner: "AWS", Entries: 255}
	if diff := cmp.Diff([]door.PrefixListReport{want}, report.PrefixLists); diff != "" {
		t.Error(diff)
	}
}

// Where the entries of a list may not be read, nobody guesses.
func TestDenied(t *testing.T) {
	setup := func(t *testing.T) (*origin, door.Selector) {
		o := newOrigin(t)
		list, err := o.here.CreatePrefixList(ec2sim.PrefixList{
			Name: "office", MaxEntries: 10, Entries: []ec2sim.PrefixListEntry{{Prefix: netip.MustParsePrefix("18.64.0.0/14")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		o.group(t, "listed", ec2sim.Permission{Protocol: "tcp", From: 443, To: 443, Source: ec2sim.Source{Reference: list.ID}})
		return o, door.Selector{Interfaces: []string{o.attach(t, ec2sim.Interface{}, "listed")}}
	}
	o, s := setup(t)
	o.Deny("GetManagedPrefixListEntries")
	report, err := check(t.Context(), o.api, s, question())
	if err != nil {
		t.Fatal(err)
	}
	f := report.Subjects[0].Ports[0].Families[0]
	if report.Verdict != door.Unknown || len(f.Unread) != 1 || len(f.Blocked.Prefixes) != 1 || !strings.Contains(report.PrefixLists[0].Error, "grant the permission ec2:GetManagedPrefixListEntries") {
		t.Errorf("got %+v", report)
	}
	// It is known to be of the other family, and to let no IPv6 in.
	q := question()
	q.Families = []secgroup.Family{secgroup.IPv6}
	q.Wanted.IPv6 = []netip.Prefix{netip.MustParsePrefix("2600:9000::/28")}
	if report, err = check(t.Context(), o.api, door.Selector{Groups: []string{o.groups["listed"]}}, q); err != nil || report.Verdict != door.Blocked {
		t.Errorf("got %+v, %v", report, err)
	}
	// The list's name is not needed.
	o, s = setup(t)
	o.Deny("DescribeManagedPrefixLists")
	report, err = check(t.Context(), o.api, s, question())
	if err != nil {
		t.Fatal(err)
	}
	if report.Verdict != door.Open || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "ec2:DescribeManagedPrefixLists") {
		t.Errorf("got %+v", report)
	}
}

// A list of another account is read where it is shared. Where it is not any more, nobody guesses: the verdict is
// unknown, and the error says what is lacking.
func TestListOfAnotherAccount(t *testing.T) {
	o := newOrigin(t)
	hub := o.Region("444455556666", "us-east-1")
	// The size says nothing of what the list lets in.
	list, err := hub.CreatePrefixList(ec2sim.PrefixList{
		Name: "cloudfront", Family: "IPv4", MaxEntries: 25, Tags: map[string]string{"cloudfront-ingress": "ranges"},
		Entries: []ec2sim.PrefixListEntry{{Prefix: netip.MustParsePrefix("18.64.0.0/15")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.SharePrefixList(list.ID, ec2sim.DefaultAccount); err != nil {
		t.Fatal(err)
	}
	o.group(t, "listed", ec2sim.Permission{Protocol: "tcp", From: 443, To: 443, Source: ec2sim.Source{Reference: list.ID}})
	s := door.Selector{Groups: []string{o.groups["listed"]}}
	report, err := check(t.Context(), o.api, s, question())
	if err != nil {
		t.Fatal(err)
	}
	f := report.Subjects[0].Ports[0].Families[0]
	if got := fmt.Sprint(report.Verdict, " ", f.Blocked.Prefixes, f.PrefixLists); got != "blocked [18.66.0.0/15] ["+list.ID+"]" {
		t.Error(got)
	}
	if l := report.PrefixLists[0]; l.Owner != "444455556666" || l.Entries != 1 {
		t.Errorf("got %+v", l)
	}
	for code, want := range map[string]string{
		"InvalidPrefixListID.NotFound": "ask the account that owns it to share it again (AWS RAM), or check with that account's credentials (--profile)",
		"UnauthorizedOperation":        "grant the permission ec2:GetManagedPrefixListEntries",
	} {
		o.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "GetManagedPrefixListEntries", Code: code})
		report, err := check(t.Context(), o.api, s, question())
		if err != nil || report.Verdict != door.Unknown || !strings.Contains(report.PrefixLists[0].Error, want) {
			t.Errorf("%s: %v, %+v", code, err, report)
		}
	}
}

// damaged answers with what EC2 should never answer with.
type damaged struct{ *ec2.Client }

func (d damaged) DescribeSecurityGroups(context.Context, *ec2.DescribeSecurityGroupsInput, ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	return &ec2.DescribeSecurityGroupsOutput{SecurityGroups: []types.SecurityGroup{{
		GroupId: aws.String("sg-01234567"),
		IpPermissions: []types.IpPermission{{
			IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443),
			IpRanges: []types.IpRange{{CidrIp: aws.String("everyone")}},
		}},
	}}}, nil
}

// No verdict is given on rules that cannot be read.
func TestUnreadableRule(t *testing.T) {
	o := newOrigin(t)
	_, err := check(t.Context(), damaged{o.api}, door.Selector{Groups: []string{"sg-01234567"}}, question())
	if err == nil || !strings.Contains(err.Error(), "sg-01234567: EC2 returned a rule whose source cannot be read") {
		t.Errorf("got %v", err)
	}
}

// check discovers and judges.
func check(ctx context.Context, api door.API, s door.Selector, q door.Question) (*door.Report, error) {
	scene, err := door.Discover(ctx, api, s)
	if err != nil {
		return nil, err
	}
	return door.Judge(scene, q), nil
}
