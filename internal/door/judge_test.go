package door

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"github.com/google/go-cmp/cmp"
)

func prefixes(cidrs ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, c := range cidrs {
		list = append(list, netip.MustParsePrefix(c))
	}
	return list
}

func published(ipv4, ipv6 []netip.Prefix) *iprange.Publication {
	return &iprange.Publication{IPv4: ipv4, IPv6: ipv6}
}

// both asks for port 443 and for the ranges that the cases are about.
func both(ports ...secgroup.PortRange) Question {
	return Question{
		Wanted:   published(prefixes("18.64.0.0/14", "52.84.0.0/15"), prefixes("2600:9000::/28")),
		Families: []secgroup.Family{secgroup.IPv4, secgroup.IPv6},
		Ports:    ports,
		TagKey:   "cloudfront-ingress",
	}
}

// ingress reads rules such as "tcp 443 18.64.0.0/14 description". A source that is no IP range is a reference.
func ingress(t *testing.T, rules ...string) []secgroup.Rule {
	t.Helper()
	var list []secgroup.Rule
	for _, text := range rules {
		words := append(strings.SplitN(text, " ", 4), "")
		r := secgroup.Rule{RuleID: secgroup.RuleID{Protocol: words[0], From: -1, To: -1}, Description: words[3]}
		if words[1] != "all" {
			ports, err := secgroup.ParsePorts(words[1])
			if err != nil {
				t.Fatal(err)
			}
			r.From, r.To = int32(ports[0].From), int32(ports[0].To)
		}
		if p, err := netip.ParsePrefix(words[2]); err == nil {
			r.Source.Prefix = p
		} else {
			r.Source.Reference = words[2]
		}
		list = append(list, r)
	}
	return list
}

// summary renders what is said of ports and families, such as
//
//	443 ipv4 blocked 52.84.0.0/15 others office:203.0.113.0/24
func summary(r SubjectReport) []string {
	var lines []string
	for _, p := range r.Ports {
		for _, f := range p.Families {
			line := fmt.Sprintf("%s %s %s", p.Port, f.Family, f.Verdict)
			for _, b := range f.Blocked.Prefixes {
				line += " " + b.String()
			}
			for _, o := range f.Others {
				line += " other:" + o.Description
				if o.World {
					line += "=world"
				}
				for _, b := range o.Beyond.Prefixes {
					if !o.World {
						line += "=" + b.String()
					}
				}
			}
			for _, id := range f.Unread {
				line += " unread:" + id
			}
			lines = append(lines, line)
		}
		for _, ref := range p.References {
			lines = append(lines, p.Port+" reference "+ref.Source)
		}
	}
	return lines
}

// What the properties below do not say: the order of what is shown, and lists that cannot be read.
func TestJudge(t *testing.T) {
	everything := []string{"tcp 443 18.64.0.0/14", "tcp 443 52.84.0.0/15", "tcp 443 2600:9000::/28"}
	lists := map[string]secgroup.Holder{
		"pl-4":       {ID: "pl-4", Family: secgroup.IPv4, Ingress: rulesFrom(prefixes("18.64.0.0/14", "52.84.0.0/15"))},
		"pl-6":       {ID: "pl-6", Family: secgroup.IPv6, Ingress: rulesFrom(prefixes("2600:9000::/28"))},
		"pl-office":  {ID: "pl-office", Family: secgroup.IPv4, Ingress: rulesFrom(prefixes("203.0.113.0/24", "18.64.0.0/16", "198.51.100.0/24"))},
		"pl-denied4": {ID: "pl-denied4", Family: secgroup.IPv4, Err: errors.New("denied")},
		"pl-denied":  {ID: "pl-denied", Family: -1, Err: errors.New("denied")},
	}
	cases := []struct {
		name   string
		groups [][]string
		ports  string
		want   []string
	}{
		{"the world", [][]string{{"tcp 443 0.0.0.0/0 all", "-1 all ::/0 all6"}}, "443", []string{"443 ipv4 open other:all=world", "443 ipv6 open other:all6=world"}},
		{
			"others, the most first",
			[][]string{append([]string{"tcp 443 203.0.113.7/32 host", "tcp 443 203.0.113.0/24 office", "tcp 443 198.51.100.0/24 office", "tcp 443 18.64.0.0/13 wide", "tcp 443 2001:db8::/56 vpn"}, everything...)},
			"443",
			[]string{"443 ipv4 open other:wide=18.68.0.0/14 other:office=198.51.100.0/24=203.0.113.0/24 other:host=203.0.113.7/32", "443 ipv6 open other:vpn=2001:db8::/56"},
		},
		{
			"a range of ports is cut where a rule begins or ends",
			[][]string{{"tcp 8000-8010 18.64.0.0/14", "tcp 8000-8010 52.84.0.0/15", "tcp 8006-9000 0.0.0.0/0 all", "-1 all 2600:9000::/28"}},
			"8000-8020",
			[]string{"8000-8005 ipv4 open", "8000-8005 ipv6 open", "8006-8010 ipv4 open other:all=world", "8006-8010 ipv6 open", "8011-8020 ipv4 open other:all=world", "8011-8020 ipv6 open"},
		},
		{
			"a prefix list of others",
			[][]string{{"tcp 443 pl-office office"}},
			"443",
			[]string{"443 ipv4 blocked 18.66.0.0/15 52.84.0.0/15 18.65.0.0/16 other:office=198.51.100.0/24=203.0.113.0/24", "443 ipv6 blocked 2600:9000::/28"},
		},
		{
			"an unread list may let the rest in, in its family",
			[][]string{{"tcp 443 18.64.0.0/14", "tcp 443 pl-denied4"}},
			"443",
			[]string{"443 ipv4 unknown 52.84.0.0/15 unread:pl-denied4", "443 ipv6 blocked 2600:9000::/28"},
		},
		{"or in any", [][]string{{"tcp 443 pl-denied"}, {"-1 all pl-denied"}}, "443", []string{"443 ipv4 unknown 18.64.0.0/14 52.84.0.0/15 unread:pl-denied", "443 ipv6 unknown 2600:9000::/28 unread:pl-denied"}},
		{"an unread list does not matter where the rest lets all in", [][]string{append([]string{"tcp 443 pl-denied"}, everything...)}, "443", []string{"443 ipv4 open unread:pl-denied", "443 ipv6 open unread:pl-denied"}},
		{
			"a group's members are no address of CloudFront",
			[][]string{{"tcp 443 111122223333/sg-9", "-1 all 111122223333/sg-8"}},
			"443",
			[]string{"443 ipv4 blocked 18.64.0.0/14 52.84.0.0/15", "443 ipv6 blocked 2600:9000::/28", "443 reference 111122223333/sg-9", "443 reference 111122223333/sg-8"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ports, err := secgroup.ParsePorts(c.ports)
			if err != nil {
				t.Fatal(err)
			}
			var s Subject
			for i, rules := range c.groups {
				s.Groups = append(s.Groups, secgroup.Group{ID: fmt.Sprintf("sg-%d", i), Ingress: ingress(t, rules...)})
			}
			report := Judge(&Scene{Subjects: []Subject{s}, Lists: lists}, both(ports...))
			if diff := cmp.Diff(c.want, summary(report.Subjects[0])); diff != "" {
				t.Error(diff)
			}
			want, all := Open, strings.Join(c.want, "\n")
			switch {
			case strings.Contains(all, " blocked"):
				want = Blocked
			case strings.Contains(all, " unknown"):
				want = Unknown
			}
			if report.Verdict != want || report.Subjects[0].Verdict != want {
				t.Errorf("verdict %s, of the subject %s, want %s", report.Verdict, report.Subjects[0].Verdict, want)
			}
		})
	}
}

// The servers that connect to origins are told from the others.
func TestOriginFacing(t *testing.T) {
	q := both(secgroup.PortRange{From: 443, To: 443})
	q.Wanted.OriginFacing = prefixes("18.64.0.0/16")
	cases := []struct {
		rule   string
		part   []netip.Prefix // of IPv4 that is blocked
		beyond bool
	}{
		{"tcp 443 18.64.0.0/15", nil, true},
		{"tcp 443 18.64.0.0/17", prefixes("18.64.128.0/17"), false},
		{"tcp 443 0.0.0.0/0", nil, false},
	}
	for _, c := range cases {
		r := Judge(&Scene{Subjects: []Subject{{Groups: []secgroup.Group{{Ingress: ingress(t, c.rule)}}}}}, q)
		ipv4, ipv6 := r.Subjects[0].Ports[0].Families[0], r.Subjects[0].Ports[0].Families[1]
		if part := ipv4.OriginFacingBlocked.Prefixes; len(part) != len(c.part) || len(part) > 0 && part[0] != c.part[0] || ipv4.BeyondOriginFacing() != c.beyond {
			t.Errorf("%s: %v of the origin-facing servers are blocked, beyond %t", c.rule, part, ipv4.BeyondOriginFacing())
		}
		// The file lists none over IPv6, which tells nothing.
		if ipv6.OriginFacingBlocked != nil || ipv6.BeyondOriginFacing() {
			t.Errorf("%s: IPv6 %+v", c.rule, ipv6.OriginFacingBlocked)
		}
	}
}

func TestPortsOfTags(t *testing.T) {
	group := func(tag string) secgroup.Group {
		return secgroup.Group{ID: "sg-" + tag, Tags: map[string]string{"cloudfront-ingress": tag}}
	}
	lists := map[string]secgroup.Holder{
		"pl-tagged": {ID: "pl-tagged", Tags: map[string]string{both().TagKey: "ranges"}},
		"pl-other":  {ID: "pl-other", Tags: map[string]string{"Name": "office"}},
	}
	cases := []struct {
		groups []secgroup.Group
		want   string
		note   string
	}{
		{[]secgroup.Group{group("8443"), {ID: "sg-1", Ingress: ingress(t, "tcp 9443 pl-tagged", "tcp 22 pl-other", "udp 53 pl-tagged")}}, "8443 9443", ""},
		{nil, "443", "443 is a guess"},
		{[]secgroup.Group{{ID: "sg-1"}}, "443", "443 is a guess"},
		{[]secgroup.Group{group("none")}, "443", "443 is a guess"},
		{[]secgroup.Group{group("8443 80"), {ID: "sg-1"}, group("80,8000-8080"), group("none")}, "80 8000-8080 8443", ""},
		{[]secgroup.Group{group("80"), group("70000")}, "80", `tag cloudfront-ingress="70000" of sg-70000 names no ports: "70000" is not a port`},
	}
	for _, c := range cases {
		ports, notes := (&judge{Scene: &Scene{Lists: lists}, Question: both()}).portsAt(Subject{Groups: c.groups})
		if got := strings.Trim(fmt.Sprint(ports), "[]"); got != c.want || !strings.Contains(strings.Join(notes, " "), c.note) || (c.note == "") != (len(notes) == 0) {
			t.Errorf("%v: ports %s, notes %q", c.groups, got, notes)
		}
	}
}

// An interface is judged in the families that it has addresses of.
func TestInterfaces(t *testing.T) {
	open := []secgroup.Group{{ID: "sg-1", Ingress: ingress(t, "tcp 443 18.64.0.0/14", "tcp 443 52.84.0.0/15")}}
	private, public := netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("198.51.100.7")
	global, local := netip.MustParseAddr("2600:1f18::7"), netip.MustParseAddr("fd00::7")
	cases := []struct {
		name      string
		i         Interface
		groups    []secgroup.Group
		families  []secgroup.Family
		verdict   Verdict
		summaries int
		note      string
	}{
		{"IPv4 only", Interface{PrivateIPv4: []netip.Addr{private}, PublicIPv4: []netip.Addr{public}}, open, nil, Open, 1, "no IPv6 address"},
		{"both", Interface{PrivateIPv4: []netip.Addr{private}, PublicIPv4: []netip.Addr{public}, IPv6: []netip.Addr{global}}, open, nil, Blocked, 2, ""},
		{"IPv6 only", Interface{IPv6: []netip.Addr{global}}, open, nil, Blocked, 1, "no IPv4 address"},
		{"IPv6 asked for and none there", Interface{PrivateIPv4: []netip.Addr{private}, PublicIPv4: []netip.Addr{public}}, open, []secgroup.Family{secgroup.IPv6}, Unknown, 0, "no IPv6 address"},
		{"private", Interface{PrivateIPv4: []netip.Addr{private}, IPv6: []netip.Addr{local}}, open, nil, Blocked, 2, "no public address"},
		{"no group", Interface{PrivateIPv4: []netip.Addr{private}, PublicIPv4: []netip.Addr{public}}, nil, nil, Unknown, 0, "no security group"},
		{"nothing to reach, and no group needed", Interface{PrivateIPv4: []netip.Addr{private}, PublicIPv4: []netip.Addr{public}, NeedsNoGroup: true}, nil, []secgroup.Family{secgroup.IPv6}, Unknown, 0, "no IPv6 address"},
		{"no group, and none needed", Interface{PrivateIPv4: []netip.Addr{private}, PublicIPv4: []netip.Addr{public}, NeedsNoGroup: true}, nil, nil, Open, 1, "everyone reaches it"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := both(secgroup.PortRange{From: 443, To: 443})
			if c.families != nil {
				q.Families = c.families
			}
			r := Judge(&Scene{Subjects: []Subject{{Interface: &c.i, Groups: c.groups}}}, q).Subjects[0]
			notes := strings.Join(r.Notes, "; ")
			if r.Verdict != c.verdict || len(summary(r)) != c.summaries || !strings.Contains(notes, c.note) || (c.note == "") != (notes == "") {
				t.Errorf("%s %q, notes %q", r.Verdict, summary(r), notes)
			}
		})
	}
}

// Ranges that get in only by rules that are open to the world are shut out when these are closed.
func TestOnlyByWorld(t *testing.T) {
	lists := map[string]secgroup.Holder{"pl-4": {ID: "pl-4", Family: secgroup.IPv4, Ingress: rulesFrom(prefixes("18.64.0.0/14", "0.0.0.0/0"))}}
	cases := []struct {
		rules []string
		want  string // of IPv4
	}{
		{[]string{"tcp 443 18.64.0.0/14", "tcp 443 52.84.0.0/15"}, "none"},
		{[]string{"tcp 443 0.0.0.0/0", "tcp 443 18.64.0.0/14", "tcp 443 52.84.0.0/15"}, "[]"},
		{[]string{"tcp 443 0.0.0.0/0", "tcp 443 18.64.0.0/15"}, "[18.66.0.0/15 52.84.0.0/15]"},
		{[]string{"tcp 443 pl-4"}, "[52.84.0.0/15]"},
		{[]string{"tcp 443 0.0.0.0/1", "tcp 443 18.64.0.0/14"}, "[52.84.0.0/15]"},
		{[]string{"tcp 443 0.0.0.0/2", "tcp 443 ::/0"}, "[18.64.0.0/14 52.84.0.0/15]"},
	}
	for _, c := range cases {
		groups := []secgroup.Group{{ID: "sg-1", Ingress: ingress(t, c.rules...)}}
		got, f := "none", Judge(&Scene{Lists: lists, Subjects: []Subject{{Groups: groups}}}, both()).Subjects[0].Ports[0].Families[0]
		if f.OnlyByWorld != nil {
			got = fmt.Sprint(f.OnlyByWorld.Prefixes)
		}
		if got != c.want {
			t.Errorf("%v: %s, want %s", c.rules, got, c.want)
		}
	}
}

func prefixAddrs(texts ...string) []netip.Addr {
	var addrs []netip.Addr
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs
}
