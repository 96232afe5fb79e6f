package door_test

import (
	"context"
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
