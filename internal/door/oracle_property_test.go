package door

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"cloudfront-sg-sync/secgroup"

	"pgregory.net/rapid"
)

// An oracle says what becomes of one packet, in the words of AWS's pages. It shares no code with the judge: it asks
// address by address and port by port, and knows no sets.
type oracle struct {
	scene *Scene
	at    *Interface
	f     secgroup.Family
}

// fate is "in", "lost", "unknown" or "some", where only some of the answers get out.
func (o oracle) fate(from netip.Addr, port uint16) string {
	fates := []string{o.publicAccess(), o.groups(o.scene.Subjects[0], from, port, "")}
	if o.at.PublicOver(o.f) {
		fates = append(fates, o.route(from), o.requests(from, port), o.answers(from))
	}
	fates = append(fates, o.targets(from, port))
	for _, worst := range []string{"lost", "unknown", "some"} {
		if slices.Contains(fates, worst) {
			return worst
		}
	}
	return "in"
}

// "All internet traffic to the VPCs in this Region (except for VPCs or subnets which are excluded) is blocked":
// https://docs.aws.amazon.com/vpc/latest/userguide/security-vpc-bpa.html
func (o oracle) publicAccess() string {
	b := o.scene.Network.Block
	if b.Err != nil {
		return "unknown"
	}
	here := func(id string) bool { return id == o.at.VPC || id == o.at.Subnet }
	switch {
	case slices.ContainsFunc(b.Exclusions, here), !b.On && !b.Changing:
		return "in"
	case b.Changing || slices.ContainsFunc(b.Pending, here):
		return "unknown"
	}
	return "lost"
}

// "We use the most specific route that matches either IPv4 traffic or IPv6 traffic", and "if the destination of a
// propagated route overlaps a static route, the static route takes priority":
// https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html
func (o oracle) route(to netip.Addr) string {
	s := o.scene.Network.Subnets[o.at.Subnet]
	if s.RouteErr != nil {
		return "unknown"
	}
	best, bits, static := "", -1, false
	for _, r := range s.Routes {
		for _, p := range r.To {
			if p.Contains(to) && (p.Bits() > bits || p.Bits() == bits && !static && !r.Propagated) {
				best, bits, static = r.Target, p.Bits(), !r.Propagated
				if r.Blackhole {
					best = "blackhole"
				}
			}
		}
	}
	switch best {
	case "igw-1":
		return "in"
	case "vpce-1", "tgw-1":
		return "unknown"
	}
	return "lost"
}

// "Rules are evaluated starting with the lowest numbered rule. As soon as a rule matches traffic, it's applied
// regardless of any higher-numbered rule that might contradict it":
// https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html
func (o oracle) acl(egress bool, addr netip.Addr, port uint16) bool {
	var first *ACLRule
	for _, r := range o.scene.Network.Subnets[o.at.Subnet].ACLRules {
		match := r.Egress == egress && (r.Protocol == "-1" || r.Protocol == "6") && r.From <= port && port <= r.To && r.Prefix.Contains(addr)
		if match && (first == nil || r.Number < first.Number) {
			first = &r
		}
	}
	return first != nil && first.Allow
}

func (o oracle) requests(from netip.Addr, port uint16) string {
	switch {
	case o.scene.Network.Subnets[o.at.Subnet].ACLErr != nil:
		return "unknown"
	case o.acl(false, from, port):
		return "in"
	}
	return "lost"
}

// "Requests originating from Elastic Load Balancing use ports 1024-65535", as do those of most clients:
// https://docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html#nacl-ephemeral-ports
func (o oracle) answers(to netip.Addr) string {
	if o.scene.Network.Subnets[o.at.Subnet].ACLErr != nil {
		return "unknown"
	}
	all, none := true, true
	for _, port := range []uint16{1024, 1999, 2000, 2999, 3000, 65535} { // where drawn rules begin and end
		out := o.acl(true, to, port)
		all, none = all && out, none && !out
	}
	switch {
	case none:
		return "lost"
	case !all:
		return "some"
	}
	return "in"
}

// "If there is more than one rule for a specific port, we apply the most permissive rule":
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
func (o oracle) groups(s Subject, from netip.Addr, port uint16, balancer string) string {
	fate := "lost"
	for _, g := range s.Groups {
		for _, r := range g.Ingress {
			if r.Protocol != "-1" && (r.Protocol != "tcp" || int32(port) < r.From || r.To < int32(port)) {
				continue
			}
			switch {
			case r.Source.Prefix.IsValid() && r.Source.Prefix.Contains(from), balancer != "" && r.Source.Reference == "1/"+balancer:
				return "in"
			case r.Source.Reference == "pl-1":
				fate = "unknown"
			}
		}
	}
	return fate
}

// "When client IP preservation is disabled, the source IP address is the private IP address of the Network Load
// Balancer", and an IPv6 client reaches an IPv4 target from that address too:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html
// A load balancer sends nothing to unhealthy targets, or to all of them if none is healthy:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
func (o oracle) targets(from netip.Addr, port uint16) string {
	fate := "in"
	for _, l := range o.scene.Balancers["shop"].Listeners {
		for _, tg := range l.Targets {
			if l.Port != port {
				continue
			}
			healthy := slices.ContainsFunc(tg.Targets, func(t Target) bool { return t.Serving })
			if !healthy {
				fate = "unknown"
			}
			for _, t := range tg.Targets {
				if healthy && !t.Serving {
					continue
				}
				sender := from
				if !tg.Preserves || from.Is4() != (tg.Family == secgroup.IPv4) {
					sender = o.scene.Balancers["shop"].Addresses[tg.Family]
				}
				switch o.groups(*t.Subject, sender, t.Port, "sg-lb") {
				case "lost":
					return "lost"
				case "unknown":
					fate = "unknown"
				}
			}
		}
	}
	return fate
}

// drawScene draws a door with everything that can block the way.
func drawScene(t *rapid.T) *Scene {
	seldom := func(label string) bool { return rapid.IntRange(0, 4).Draw(t, label) == 0 }
	rules := func(label string) []secgroup.Group {
		var g secgroup.Group
		if !seldom(label + " has no rule for all") {
			for _, p := range prefixes("0.0.0.0/0", "::/0") {
				g.Ingress = append(g.Ingress, secgroup.Rule{RuleID: secgroup.RuleID{Protocol: "-1", From: -1, To: -1, Source: secgroup.Source{Prefix: p}}})
			}
		}
		for range rapid.IntRange(0, 5).Draw(t, label+" rules") {
			id := secgroup.RuleID{Protocol: rapid.SampledFrom([]string{"tcp", "tcp", "-1", "udp"}).Draw(t, label+" protocol"), From: -1, To: -1}
			if id.Protocol != "-1" {
				id.From = int32(rapid.IntRange(1, 4).Draw(t, label+" from"))
				id.To = int32(rapid.IntRange(int(id.From), 4).Draw(t, label+" to"))
			}
			switch rapid.IntRange(0, 9).Draw(t, label+" source") {
			case 0:
				id.Source.Reference = "pl-1"
			case 1:
				id.Source.Reference = "1/sg-lb"
			default:
				id.Source.Prefix = drawPrefix(t, label)
			}
			g.Ingress = append(g.Ingress, secgroup.Rule{RuleID: id})
		}
		return []secgroup.Group{g}
	}
	may := func(label string) error {
		if rapid.IntRange(0, 9).Draw(t, label+" may be read") == 0 {
			return errors.New("denied")
		}
		return nil
	}
	block := BlockPublicAccess{On: seldom("blocked"), Changing: seldom("changing"), Err: may("public access")}
	exclusions := rapid.SliceOfN(rapid.SampledFrom([]string{"vpc-1", "subnet-1", "subnet-2"}), 0, 2)
	block.Exclusions, block.Pending = exclusions.Draw(t, "exclusions"), exclusions.Draw(t, "pending")
	s := Subnet{ID: "subnet-1", VPC: "vpc-1", ACLErr: may("ACL"), RouteErr: may("routes"), Routes: []Route{route("igw-1", "0.0.0.0/0"), route("igw-1", "::/0")}}
	for range rapid.IntRange(0, 4).Draw(t, "routes") {
		s.Routes = append(s.Routes, Route{
			To: []netip.Prefix{drawPrefix(t, "route")}, Target: rapid.SampledFrom([]string{"igw-1", "nat-1", "local", "vpce-1", "tgw-1"}).Draw(t, "target"),
			Propagated: seldom("propagated"), Blackhole: seldom("blackhole"),
		})
	}
	// AWS has no two static routes, and no two propagated ones, to one destination.
	slices.SortStableFunc(s.Routes, func(a, b Route) int {
		return cmp.Or(a.To[0].Compare(b.To[0]), map[bool]int{false: 0, true: 1}[a.Propagated]-map[bool]int{false: 0, true: 1}[b.Propagated])
	})
	s.Routes = slices.CompactFunc(s.Routes, func(a, b Route) bool { return a.To[0] == b.To[0] && a.Propagated == b.Propagated })
	numbers := rapid.Permutation([]int32{1, 2, 3, 4, 5, 6, 7, 8}).Draw(t, "numbers")
	for n, cidr := range []string{"0.0.0.0/0", "0.0.0.0/0", "::/0", "::/0"} {
		if !seldom("nothing allowed") {
			s.ACLRules = append(s.ACLRules, acl(int32(n+100), n%2 == 0, true, "-1", 0, 65535, cidr))
		}
	}
	for _, n := range numbers[:rapid.IntRange(0, 4).Draw(t, "ACL rules")] {
		from := rapid.SampledFrom([]uint16{1, 2, 3, 1024, 2000, 3000}).Draw(t, "ACL from")
		to := max(from, rapid.SampledFrom([]uint16{2, 3, 4, 1999, 2999, 65535}).Draw(t, "ACL to"))
		s.ACLRules = append(s.ACLRules, ACLRule{
			n, rapid.Bool().Draw(t, "egress"), rapid.Bool().Draw(t, "allow"), rapid.SampledFrom([]string{"6", "6", "17"}).Draw(t, "ACL protocol"), from, to, drawPrefix(t, "ACL"),
		})
	}
	b := &Balancer{Name: "shop", Groups: []string{"sg-lb"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}}
	for range rapid.IntRange(0, 2).Draw(t, "listeners") {
		tg := &TargetGroup{Name: "web", Type: "ip", Family: secgroup.Family(rapid.IntRange(0, 1).Draw(t, "family")), Preserves: rapid.Bool().Draw(t, "preserves")}
		for range rapid.IntRange(0, 2).Draw(t, "targets") {
			tg.Targets = append(tg.Targets, Target{ID: "t", Port: uint16(rapid.IntRange(1, 4).Draw(t, "target port")), Serving: !seldom("unhealthy"), Subject: &Subject{Groups: rules("target")}})
		}
		b.Listeners = append(b.Listeners, Listener{Port: uint16(rapid.IntRange(1, 4).Draw(t, "listener")), Targets: []*TargetGroup{tg}})
	}
	i := &Interface{
		ID: "eni-1", VPC: "vpc-1", Subnet: "subnet-1", Description: "ELB net/shop/1", PrivateIPv4: prefixAddrs("192.0.2.7"), PublicIPv4: prefixAddrs("198.51.100.7"),
		IPv6: prefixAddrs("2600:1f18::7"),
	}
	if seldom("internal") {
		i.PublicIPv4, i.IPv6 = nil, prefixAddrs("fd00::7")
	}
	return &Scene{
		Subjects: []Subject{{i, rules("group")}}, Network: &Network{block, map[string]Subnet{"subnet-1": s}}, Balancers: map[string]*Balancer{"shop": b},
		Lists: map[string]secgroup.Holder{"pl-1": {ID: "pl-1", Family: -1, Err: errors.New("denied")}},
	}
}

// The verdict on a door agrees with the oracle, which asks of each address that matters whether a packet gets in.
func TestVerdictAgreesWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scene := drawScene(t)
		wanted := drawPrefixes(t, "wanted")
		q := Question{Families: []secgroup.Family{secgroup.IPv4, secgroup.IPv6}, Ports: []secgroup.PortRange{{From: 1, To: 4}}}
		q.Wanted = published(setOf(secgroup.IPv4, wanted).Prefixes(), setOf(secgroup.IPv6, wanted).Prefixes())
		lists := [][]netip.Prefix{wanted}
		for _, r := range scene.Network.Subnets["subnet-1"].Routes {
			lists = append(lists, r.To)
		}
		for _, r := range scene.Network.Subnets["subnet-1"].ACLRules {
			lists = append(lists, []netip.Prefix{r.Prefix})
		}
		subjects := slices.Clone(scene.Subjects)
		for _, l := range scene.Balancers["shop"].Listeners {
			for _, target := range l.Targets[0].Targets {
				subjects = append(subjects, *target.Subject)
			}
		}
		for _, s := range subjects {
			for _, r := range s.Groups[0].Ingress {
				if r.Source.Prefix.IsValid() {
					lists = append(lists, []netip.Prefix{r.Source.Prefix})
				}
			}
		}
		report := Judge(scene, q)
		worst := OK
		for _, p := range report.Subjects[0].Ports {
			of, err := secgroup.ParsePorts(p.Port)
			if err != nil {
				t.Fatal(err)
			}
			for port := of[0].From; port <= of[0].To; port++ {
				for _, fr := range p.Families {
					f := secgroup.IPv4
					if fr.Family == "ipv6" {
						f = secgroup.IPv6
					}
					o, fates := oracle{scene, scene.Subjects[0].Interface, f}, map[string]bool{}
					for _, addr := range landmarks(lists...) {
						if addr.Is4() == (f == secgroup.IPv4) && holds(wanted, addr) {
							fates[o.fate(addr, port)] = true
						}
					}
					want, mark := Open, OK
					switch {
					case fates["lost"]:
						want, mark = Blocked, Failed
					case fates["unknown"]:
						want, mark = Unknown, Attention
					case fates["some"]:
						mark = Attention
					}
					if fr.Verdict != want || fr.judgement("CloudFront", "").Mark != mark {
						t.Fatalf("port %d over %s: %s (%s), but packets meet %v", port, f, fr.Verdict, fr.judgement("CloudFront", "").Mark, fates)
					}
					for _, x := range fr.Findings {
						if fate := o.fate(x.Witness, port); fate == "in" || x.Verdict == Blocked && fate != "lost" {
							t.Fatalf("port %d: %s, but %s is %s", port, x.Cause, x.Witness, fate)
						}
					}
					if mark.worseThan(worst) {
						worst = mark
					}
				}
			}
		}
		// A list that cannot be read may open a port to the world, and where nothing listens nobody gets in.
		unsure := !scene.Subjects[0].Interface.Public() || len(scene.Balancers["shop"].Listeners) == 0 ||
			slices.ContainsFunc(scene.Subjects[0].Groups[0].Ingress, func(r secgroup.Rule) bool { return r.Source.Reference == "pl-1" && r.Protocol != "udp" })
		if report.Mark != cmp.Or(map[bool]Mark{true: Attention}[worst == OK && unsure], worst) && len(report.OpenToWorld) == 0 {
			t.Fatalf("the report says %s (%s), and its worst port %s", report.Mark, report.Cause, worst)
		}
	})
}
