package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// pasted is the command that cfsg status offers to revoke a rule.
var pasted = regexp.MustCompile(`aws ec2 revoke-security-group-ingress --endpoint-url \S+ --region us-east-1 --group-id (sg-\w+) --ip-permissions 'IpProtocol=tcp,FromPort=(\d+),ToPort=(\d+),(?:IpRanges=\[\{CidrIp=|Ipv6Ranges=\[\{CidrIpv6=)(\S+?)\}\]'`)

// twoFamilies is a document that takes four IPv4 rules and two IPv6 rules.
const twoFamilies = `{"syncToken": "1767323045", "prefixes": [
  {"ip_prefix": "18.64.0.0/14", "service": "CLOUDFRONT"}, {"ip_prefix": "52.84.0.0/15", "service": "CLOUDFRONT"},
  {"ip_prefix": "54.192.0.0/16", "service": "CLOUDFRONT"}, {"ip_prefix": "99.84.0.0/16", "service": "CLOUDFRONT"}
], "ipv6_prefixes": [
  {"ipv6_prefix": "2600:9000:1000::/36", "service": "CLOUDFRONT"}, {"ipv6_prefix": "2600:9000:3000::/36", "service": "CLOUDFRONT"}
]}`

// newOriginOperator is an operator with ranges of both families.
func newOriginOperator(t *testing.T, seed string) *operator {
	t.Helper()
	o := newOperator(t, seed)
	if err := os.WriteFile(o.flags[5], []byte(twoFamilies), 0o600); err != nil {
		t.Fatal(err)
	}
	o.flags = o.flags[:6] // both families
	return o
}

// client returns a client for the operator's endpoint.
func (o *operator) client() *ec2.Client {
	return ec2.NewFromConfig(engine.Config(aws.Config{
		Region: "us-east-1", BaseEndpoint: &o.flags[1], Credentials: credentials.NewStaticCredentialsProvider("any", "any", ""),
	}, "", ""))
}

// paste does what the commands in an output do.
func (o *operator) paste(t *testing.T, output string) int {
	t.Helper()
	if n := strings.Count(output, "revoke-security-group-ingress"); n != len(pasted.FindAllString(output, -1)) {
		t.Fatalf("a command to revoke is not as it should be:\n%s", output)
	}
	all := pasted.FindAllStringSubmatch(output, -1)
	for _, m := range all {
		var from, to int32
		if _, err := fmt.Sscan(m[2], &from); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(m[3], &to); err != nil {
			t.Fatal(err)
		}
		p := types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: &from, ToPort: &to}
		if netip.MustParsePrefix(m[4]).Addr().Is4() {
			p.IpRanges = []types.IpRange{{CidrIp: &m[4]}}
		} else {
			p.Ipv6Ranges = []types.Ipv6Range{{CidrIpv6: &m[4]}}
		}
		if _, err := o.client().RevokeSecurityGroupIngress(t.Context(), &ec2.RevokeSecurityGroupIngressInput{GroupId: &m[1], IpPermissions: []types.IpPermission{p}}); err != nil {
			t.Fatal(err)
		}
	}
	return len(all)
}

// blocked returns how much of the published ranges does not get in, by network interface, port and family.
func (o *operator) blocked(t *testing.T) map[string]uint64 {
	t.Helper()
	publication, err := iprange.Decode(strings.NewReader(twoFamilies), iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true})
	if err != nil {
		t.Fatal(err)
	}
	blocked := map[string]uint64{}
	interfaces, err := o.client().DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces.NetworkInterfaces {
		id := aws.ToString(i.NetworkInterfaceId)
		scene, err := door.Discover(t.Context(), o.client(), door.Selector{Interfaces: []string{id}})
		if err != nil {
			t.Fatal(err)
		}
		report := door.Judge(scene, door.Question{
			Wanted: publication, Families: []secgroup.Family{secgroup.IPv4, secgroup.IPv6}, Ports: []secgroup.PortRange{{From: 443, To: 443}, {From: 8443, To: 8443}},
		})
		for _, p := range report.Subjects[0].Ports {
			for _, f := range p.Families {
				blocked[id+" "+p.Port+" "+f.Family] = f.Blocked.Size
			}
		}
	}
	return blocked
}

// Whatever the state in which cfsg status is run, what it offers for pasting shuts nobody out anywhere who is wanted,
// and closes no port that is not managed.
func TestStatusOffersNothingHarmful(t *testing.T) {
	offered := 0
	for seed := range 120 {
		random := rand.New(rand.NewPCG(uint64(seed), 11))
		some := func(of ...string) string { return of[random.IntN(len(of))] }
		world := func() string {
			return some("", "", "", `{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}`, `{"protocol": "tcp", "ports": "443", "source": "::/0"}`,
				`{"protocol": "-1", "source": "0.0.0.0/0"}`, `{"protocol": "tcp", "ports": "22-443", "source": "0.0.0.0/0"}`,
				`{"protocol": "tcp", "ports": "8443", "source": "0.0.0.0/0"}`,
				`{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/1"}, {"protocol": "tcp", "ports": "443", "source": "128.0.0.0/1"}`)
		}
		groups := fmt.Sprintf(`
		  {"name": "web-1", "tags": {"cloudfront-ingress": "443", "cloudfront-ingress-pool": "web"}, "ingress": [%s]},
		  {"name": "web-2", "tags": {"cloudfront-ingress": "443", "cloudfront-ingress-pool": "web"}, "ingress": [%s]},
		  {"name": "api", "tags": {"cloudfront-ingress": "8443"}, "ingress": [%s]},
		  {"name": "lb", "ingress": [%s]}`, world(), world(), world(), world())
		var interfaces []string
		for i := range random.IntN(4) {
			interfaces = append(interfaces, fmt.Sprintf(`{"publicIp": "198.51.100.%d", "groups": [%s]%s}`, i,
				some(`"web-1", "web-2"`, `"web-1", "web-2"`, `"web-1", "web-2", "lb"`, `"web-1", "lb"`, `"web-2"`, `"lb"`, `"api", "lb"`, `"api", "web-1", "web-2"`),
				some("", `, "ipv6": "2600:1f18::7"`)))
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			o := newOriginOperator(t, fmt.Sprintf(`{"rulesPerGroup": %s, "groups": [%s], "interfaces": [%s]}`, some("2", "4", "60"), groups, strings.Join(interfaces, ",")))
			if some("no", "yes", "yes") == "yes" {
				o.cfsg(t.Context(), "apply", "--yes")
			}
			code, stdout, stderr := o.cfsg(t.Context(), "status")
			before := o.blocked(t)
			offered += o.paste(t, stdout)
			for at, size := range o.blocked(t) {
				if size > before[at] {
					t.Errorf("what status offered shuts CloudFront out at %s; exit code %d, %s\n%s", at, code, stderr, stdout)
				}
			}
		})
	}
	if offered < 10 {
		t.Errorf("only %d commands were offered: the test hardly tests", offered)
	}
}

// A list that is tagged none closes what only it opens: plan and status name the groups that refer to it.
func TestListTaggedNoneNamesGroups(t *testing.T) {
	o := newOriginOperator(t, `{"prefixLists": [{"name": "v4", "family": "IPv4", "maxEntries": 10, "tags": {"cloudfront-ingress": "ranges"}}],
		"groups": [{"name": "web", "ingress": [{"protocol": "tcp", "ports": "443", "source": "list:v4"}]}], "interfaces": [{"groups": ["web"], "publicIp": "198.51.100.7"}]}`)
	o.must("apply", "--yes")
	here := o.Region("", "us-east-1")
	for _, l := range here.PrefixLists() {
		if l.Name == "v4" {
			if err := here.SetTags(l.ID, map[string]string{"cloudfront-ingress": "none"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, command := range []string{"plan", "status"} {
		o.says(exitOK, "4 entries to remove, but rules refer to it: those of sg-00000008a708a8242 web", command)
	}
	o.says(exitError, "it is tagged none", "apply", "--yes")
}

// The command that status names next is never itself: it shows what was found, or what could not be seen.
func TestStatusLeadsOn(t *testing.T) {
	const (
		web    = `{"name": "web", "tags": {"cloudfront-ingress": "443"}}`
		origin = `"interfaces": [{"groups": ["web"], "publicIp": "198.51.100.7", "ipv6": "2600:1f18::7"}]`
		listed = `"prefixLists": [{"name": "v4", "family": "IPv4", "maxEntries": 10, "tags": {"cloudfront-ingress": "ranges"}},
			{"name": "v6", "family": "IPv6", "maxEntries": 10, "tags": {"cloudfront-ingress": "ranges"}}], "groups": [{"name": "web", "ingress": [
			{"protocol": "tcp", "ports": "443", "source": "list:v4"}, {"protocol": "tcp", "ports": "443", "source": "list:v6"}`
	)
	for _, c := range []struct{ name, seed, deny, want string }{
		{
			name: "a port without a listener", want: "! sg-.* load balancer shop has no listener on port 443\n  cfsg check .*--load-balancer shop\n",
			seed: `"groups": [` + web + `], "loadBalancers": [{"name": "shop", "groups": ["web"], "listeners": ["HTTP:80"], "interfaces": [{"publicIp": "198.51.100.7", "ipv6": "2600:1f18::7"}]}]`,
		},
		{
			name: "a stray tag", want: "! sg-.* correct it or remove it\n  cfsg plan ",
			seed: `"groups": [` + web + `, {"name": "db", "tags": {"cloudfront-ingres": "443"}}]`,
		},
		{
			name: "unseen interfaces", deny: "DescribeNetworkInterfaces", want: "! cannot see the network interfaces: .*\n  cfsg check .*--group sg-",
			seed: `"groups": [` + web + `], ` + origin,
		},
		{
			name: "open to the world, attached nowhere", want: "! sg-.*: open to the world: .*\n  cfsg check .*--group sg-",
			seed: `"groups": [{"name": "web", "tags": {"cloudfront-ingress": "443"}, "ingress": [{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}]}]`,
		},
		// Where lists are all that is tagged, the door is at the groups that refer to them.
		{name: "lists", want: "✓ 2 prefix lists are up to date, and CloudFront gets in at 1 network interface\n", seed: listed + `]}], ` + origin},
		{name: "lists that nobody refers to", want: "✓ 2 prefix lists are up to date\n", seed: strings.Split(listed, `, "groups"`)[0]},
		{
			name: "lists beside an open port", want: "! pl-.*: open to the world: .* on port 80\n  cfsg setup .*--interface eni-\\w+ --port 80\n",
			seed: listed + `, {"protocol": "tcp", "ports": "80", "source": "0.0.0.0/0"}]}], ` + origin,
		},
		{
			name: "lists before a closed door", want: "✗ pl-.*: CLOUDFRONT is shut out .*\n  cfsg check .*--interface eni-",
			seed: listed + `]}], "blockPublicAccess": [{"mode": "block-ingress"}], ` + origin,
		},
		{name: "lists at unseen interfaces", deny: "DescribeNetworkInterfaces", want: "! cannot see the network interfaces: ", seed: listed + `]}], ` + origin},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOriginOperator(t, "{"+c.seed+"}")
			o.cfsg(t.Context(), "apply", "--yes")
			if c.deny != "" {
				o.Deny(c.deny)
			}
			_, stdout, stderr := o.cfsg(t.Context(), "status")
			if !regexp.MustCompile("\n"+c.want).MatchString(stdout) || regexp.MustCompile(`\n  cfsg status`).MatchString(stdout) {
				t.Errorf("want %q, got\n%s%s", c.want, stdout, stderr)
			}
			if theirs := strings.Contains(strings.Join(strings.Fields(stdout), " "), "have that tool remove this one."); theirs != (c.name == "lists beside an open port") {
				t.Errorf("a rule beside references is that of another tool: %t\n%s", theirs, stdout)
			}
			if strings.Contains(c.want, "no listener") { // nor does it lead back
				if _, stdout, _ := o.cfsg(t.Context(), "check", "shop"); !strings.Contains(stdout, "has no listener on port 443\n  cfsg check ") {
					t.Error(stdout)
				}
			}
		})
	}
}
