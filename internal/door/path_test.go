package door

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"cloudfront-sg-sync/secgroup"
)

// wide allows everything, in and out, as the default network ACL does.
func wide() []ACLRule {
	return []ACLRule{acl(100, false, true, "-1", 0, 65535, "0.0.0.0/0"), acl(100, true, true, "-1", 0, 65535, "0.0.0.0/0")}
}

func acl(number int32, egress, allow bool, protocol string, from, to uint16, cidr string) ACLRule {
	return ACLRule{number, egress, allow, protocol, from, to, netip.MustParsePrefix(cidr)}
}

func route(target string, to ...string) Route { return Route{To: prefixes(to...), Target: target} }

// Each cause names an address that is lost. TestVerdictAgreesWithOracle tries the rest.
func TestPath(t *testing.T) {
	igw := []Route{route("local", "10.0.0.0/16"), route("igw-1", "0.0.0.0/0")}
	on := BlockPublicAccess{On: true}
	denied := errors.New("denied")
	cases := []struct {
		name   string
		block  BlockPublicAccess
		subnet Subnet
		want   Verdict
		cause  string // of the first finding, or nothing if there is none
	}{
		{"all open", BlockPublicAccess{}, Subnet{ACLRules: wide(), Routes: igw}, Open, ""},

		{"public access blocked", on, Subnet{ACLRules: wide(), Routes: igw}, Blocked, "VPC Block Public Access is on"},
		{"with an exclusion that is being made", BlockPublicAccess{On: true, Pending: []string{"vpc-1"}}, Subnet{ACLRules: wide(), Routes: igw}, Unknown, "is changing"},
		{"being switched", BlockPublicAccess{Changing: true}, Subnet{ACLRules: wide(), Routes: igw}, Unknown, "is changing"},
		{"public access may not be read", BlockPublicAccess{Err: denied}, Subnet{ACLRules: wide(), Routes: igw}, Unknown, "cannot see VPC Block Public Access: denied"},

		{"no route", BlockPublicAccess{}, Subnet{ACLRules: wide(), Routes: igw[:1]}, Blocked, "no route to an internet gateway over IPv4"},
		{"a NAT gateway", BlockPublicAccess{}, Subnet{ACLRules: wide(), Routes: []Route{route("nat-1", "0.0.0.0/0")}}, Blocked, "go to nat-1"},
		{"a black hole", BlockPublicAccess{}, Subnet{ACLRules: wide(), Routes: []Route{{To: prefixes("0.0.0.0/0"), Target: "igw-1", Blackhole: true}}}, Blocked, "a black hole (igw-1)"},
		{"a firewall behind the gateway", BlockPublicAccess{}, Subnet{ACLRules: wide(), Routes: igw, Edge: []Route{route("vpce-1", "10.0.0.0/16")}}, Unknown, "come in through vpce-1"},
		{"a transit gateway", BlockPublicAccess{}, Subnet{ACLRules: wide(), Routes: []Route{route("tgw-1", "0.0.0.0/0")}}, Unknown, "go to tgw-1"},
		{"a static route before one that was propagated", BlockPublicAccess{}, Subnet{ACLRules: wide(), Routes: append([]Route{{To: prefixes("0.0.0.0/0"), Target: "vgw-1", Propagated: true}}, igw...)}, Open, ""},
		{"a list that may not be read", BlockPublicAccess{}, Subnet{ACLRules: wide(), Routes: append(igw[:2:2], Route{List: "pl-1", Target: "vpce-1", Err: denied})}, Unknown, "which addresses pl-1"},
		{"routes may not be read", BlockPublicAccess{}, Subnet{ACLRules: wide(), RouteErr: denied}, Unknown, "cannot see routes: denied"},

		{"requests denied", BlockPublicAccess{}, Subnet{Routes: igw, ACLRules: append(wide(), acl(50, false, false, "6", 400, 500, "0.0.0.0/0"))}, Blocked, "denies requests from 18.64.0.0 to port 443 (rule 50)"},
		{"no rule allows requests", BlockPublicAccess{}, Subnet{Routes: igw, ACLRules: wide()[1:]}, Blocked, "(no rule allows them)"},
		{"answers denied", BlockPublicAccess{}, Subnet{Routes: igw, ACLRules: append(wide(), acl(50, true, false, "6", 1024, 65535, "0.0.0.0/0"))}, Blocked, "denies answers to 18.64.0.0 on all ports"},
		{"some answers denied", BlockPublicAccess{}, Subnet{Routes: igw, ACLRules: append(wide(), acl(50, true, false, "6", 1024, 32767, "0.0.0.0/0"))}, Open, "denies answers to 18.64.0.0 on some of the ports"},
		{"ACLs may not be read", BlockPublicAccess{}, Subnet{Routes: igw, ACLErr: denied}, Unknown, "cannot see network ACLs: denied"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			i := Interface{ID: "eni-1", VPC: "vpc-1", Subnet: "subnet-1", PrivateIPv4: prefixAddrs("10.0.0.7"), PublicIPv4: prefixAddrs("198.51.100.7")}
			all := []secgroup.Group{{ID: "sg-1", Ingress: ingress(t, "tcp 443 18.64.0.0/14", "tcp 443 52.84.0.0/15")}}
			scene := &Scene{Subjects: []Subject{{Interface: &i, Groups: all}}, Network: &Network{c.block, map[string]Subnet{"subnet-1": c.subnet}}}
			r := Judge(scene, both(secgroup.PortRange{From: 443, To: 443}))
			f := r.Subjects[0].Ports[0].Families[0]
			cause := ""
			if len(f.Findings) > 0 {
				cause = f.Findings[0].Cause
			}
			if r.Verdict != c.want || !strings.Contains(cause, c.cause) || (c.cause == "") != (cause == "") {
				t.Errorf("%s, findings %+v", r.Verdict, f.Findings)
			}
			mark := map[Verdict]Mark{Open: OK, Unknown: Attention, Blocked: Failed}[c.want]
			if c.want == Open && c.cause != "" {
				mark = Attention // some answers are lost
			}
			if r.Mark != mark || !strings.Contains(r.Cause, c.cause) {
				t.Errorf("%s: %s", r.Mark, r.Cause)
			}
		})
	}
}

// Targets are a second door where they see the client's address, and must let in the load balancer where they do not.
func TestTargets(t *testing.T) {
	group := func(id string, rules ...string) []secgroup.Group {
		return []secgroup.Group{{ID: id, Ingress: ingress(t, rules...)}}
	}
	vpc, cloudFront := group("sg-t", "tcp 8080 10.0.0.0/16"), group("sg-t", "tcp 8080 18.64.0.0/14", "tcp 8080 52.84.0.0/15")
	reference, unread := group("sg-t", "tcp 8080 111122223333/sg-lb"), group("sg-t", "tcp 8080 pl-denied")
	cases := []struct {
		name      string
		kind      string
		preserves bool
		family    secgroup.Family
		groups    []secgroup.Group // of a target, or nil if it is not visible
		want      Mark
		cause     string
	}{
		{"preserved, only the VPC", "instance", true, secgroup.IPv4, vpc, Failed, "t-1, t-2 behind load balancer shop does not let 18.64.0.0 in on port 8080 from client addresses"},
		{"preserved, a reference to the load balancer's group", "instance", true, secgroup.IPv4, reference, OK, ""},
		{"preserved, a list that may not be read", "instance", true, secgroup.IPv4, unread, Attention, "the entries of pl-denied could not be read"},
		{"not preserved, only CloudFront", "ip", false, secgroup.IPv4, cloudFront, Failed, "does not let the load balancer in"},
		{"another load balancer", "alb", true, secgroup.IPv4, nil, Attention, "its target is another load balancer"},
		{"a function", "lambda", false, secgroup.IPv4, nil, OK, ""},
		{"not visible", "ip", false, secgroup.IPv4, nil, Attention, "cannot see the security groups of t-1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tg := &TargetGroup{Name: "web", Type: c.kind, Preserves: c.preserves, Family: c.family, Targets: []Target{{ID: "t-1", Port: 8080, Serving: true}, {ID: "t-2", Port: 8080, Subject: &Subject{}}}}
			if c.groups != nil {
				tg.Targets[0].Subject = &Subject{Interface: &Interface{ID: "eni-t"}, Groups: c.groups}
				tg.Targets[1] = Target{ID: "t-2", Port: 8080, Serving: true, Subject: tg.Targets[0].Subject} // what is alike comes as one
			}
			i := Interface{ID: "eni-1", Description: "ELB net/shop/1", PrivateIPv4: prefixAddrs("10.0.0.7"), PublicIPv4: prefixAddrs("198.51.100.7")}
			scene := &Scene{
				Subjects: []Subject{{Interface: &i, Groups: group("sg-lb", "tcp 80-443 18.64.0.0/14", "tcp 80-443 52.84.0.0/15")}},
				Lists:    map[string]secgroup.Holder{"pl-denied": {ID: "pl-denied", Family: -1, Err: errors.New("denied")}},
				Balancers: map[string]*Balancer{"shop": {
					Name: "shop", Groups: []string{"sg-lb"}, Addresses: prefixAddrs("10.0.0.7", "fd00::7"),
					Listeners: []Listener{{Port: 443, Targets: []*TargetGroup{tg}}, {Port: 9443, Targets: []*TargetGroup{{Err: errors.New("of another listener")}}}},
				}},
			}
			r := Judge(scene, both(secgroup.PortRange{From: 443, To: 443}))
			if r.Mark != c.want || !strings.Contains(r.Cause, c.cause) {
				t.Errorf("%s: %s", r.Mark, r.Cause)
			}
			if by := Judge(scene, both()).Subjects[0].Ports; by[0].Port != "443" || by[1].Port != "9443" {
				t.Errorf("not judged on the ports of the listeners: %v", by)
			}
		})
	}
}
