package ec2sim_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudfront-sg-sync/internal/ec2sim"
)

// The example of docs/sim.md is a seed.
func TestSeedExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/sim.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```json\n")
	example, _, _ = strings.Cut(example, "```\n")
	s := ec2sim.New(ec2sim.Options{})
	if err := s.Seed(strings.NewReader(example)); err != nil {
		t.Fatal(err)
	}
	here := s.Region("", "eu-west-1")
	groups := here.Groups()
	web := groups[len(groups)-1]
	if web.Name != "web" || web.Tags["cloudfront-ingress"] != "443" || web.VPC == here.OtherVPC() {
		t.Errorf("got %+v", web)
	}
	var got []string
	for _, r := range web.Ingress {
		got = append(got, r.Permission.String())
	}
	want := []string{
		"peer: 192.0.2.0/24, TCP, from port: 443, to port: 443, ALLOW",
		"peer: " + web.ID + ", TCP, from port: 8000, to port: 8080, ALLOW",
		"peer: " + s.Region("", "eu-west-1").PrefixLists()[0].ID + ", TCP, from port: 80, to port: 80, ALLOW",
		"peer: 2001:db8::/32, -1, from port: -1, to port: -1, ALLOW",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, account := range []string{"", "444455556666"} {
		lists := s.Region(account, "us-east-1").PrefixLists()
		if !slices.ContainsFunc(lists, func(l ec2sim.PrefixList) bool {
			return l.Name == "office" && l.Owner == ec2sim.DefaultAccount && l.Synced
		}) {
			t.Errorf("account %q sees %+v", account, lists)
		}
	}
	if interfaces := here.Interfaces(); len(interfaces) != 3 || interfaces[2].PublicIP.String() != "198.51.100.9" || !slices.Equal(interfaces[2].Groups, []string{web.ID}) {
		t.Errorf("got %+v", interfaces)
	}
}

func TestSeedRefuses(t *testing.T) {
	rule := func(r string) string { return `{"groups":[{"name":"a","ingress":[` + r + `]}]}` }
	for _, c := range []struct{ seed, want string }{
		{``, "EOF"},
		{`{`, "EOF"},
		{`{"grups":[]}`, `"grups"`},
		{`{"groups":[{"name":"a","colour":"red"}]}`, "/groups/0"},
		{`{"groups":[{}]}`, "groups[0]: InvalidParameterValue"},
		{`{"groups":[{"name":"a"},{"name":"A"}]}`, "groups[1] (A): InvalidGroup.Duplicate"},
		{`{"groups":[{"name":"a","region":"mars-1"}]}`, `no region "mars-1"`},
		{`{"groups":[{"name":"a","account":"42"}]}`, `account "42"`},
		{`{"groups":[{"name":"a","vpc":"shop"}]}`, `no VPC "shop"`},
		{`{"rulesPerGroup":-5}`, "rulesPerGroup is from 1 to 1000"},
		{`{"loadBalancers":[{"name":"a","type":"classic"}]}`, "classic"},
		{`{"loadBalancers":[{"name":"a","groups":["b"]}]}`, `no group "b"`},
		{`{"loadBalancers":[{"name":"a","listeners":["443"]}]}`, `listeners/0: "443"`},
		{`{"vpcs":[{"name":"a"},{"name":"a"}]}`, "vpcs[1]"},
		{`{"vpcs":[{"name":"a","cidr":"10.0.0.0/16"}],"subnets":[{"vpc":"a","cidr":"10.1.0.0/24"}]}`, "10.1.0.0/24"},
		{`{"prefixLists":[{"name":"a","maxEntries":1,"entries":["192.0.2.0/24","198.51.100.0/24"]}]}`, "prefixLists[0]"},
		{`{"prefixLists":[{"name":"a","family":"IPv6","maxEntries":1,"entries":["192.0.2.0/24"]}]}`, "is not a range of IPv6"},
		{rule(`{"protocol":"tcp","ports":"443","source":"everyone"}`), `"everyone"`},
		{rule(`{"protocol":"tcp","ports":"443","source":"192.0.2.1/24"}`), "host bits"},
		{rule(`{"protocol":"tcp","ports":"70000","source":"192.0.2.0/24"}`), `"70000"`},
		{rule(`{"protocol":"tcp","ports":"90-80","source":"192.0.2.0/24"}`), "90:80"},
		{rule(`{"protocol":"tcp","source":"192.0.2.0/24"}`), "port range"},
		{rule(`{"protocol":"tcp","ports":"443","source":"group:b"}`), `no group "b"`},
		{rule(`{"protocol":"tcp","ports":"443","source":"list:b"}`), `no prefix list "b"`},
		{rule(`{"protocol":"tcp","ports":"443","source":"192.0.2.0/24","description":"é"}`), "description"},
		{rule(`{"protocol":"-1","source":"::/0"},{"protocol":"-1","source":"::/0"}`), "already exists"},
	} {
		err := ec2sim.New(ec2sim.Options{}).Seed(strings.NewReader(c.seed))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want something about %s", c.seed, err, c.want)
		}
	}
}
