package door

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// A Balancer is an Application or Network Load Balancer, and what it passes requests on to.
type Balancer struct {
	Name      string
	Listeners []Listener
	// Groups are the IDs of its security groups, and Addresses its private addresses, which targets see where those of
	// clients are not preserved.
	Groups    []string
	Addresses []netip.Addr
	Err       error // why its listeners are unknown
	Gone      bool  // its interface is there, and it is not: it is being deleted, or belongs to another account
}

// BalancerOf returns the load balancer that an interface belongs to, if it was read.
func (s *Scene) BalancerOf(i *Interface) *Balancer {
	if i == nil {
		return nil
	}
	return s.Balancers[i.LoadBalancer()]
}

// listening returns the ports with a listener of the load balancer that an interface belongs to, as far as is known.
func (s *Scene) listening(i *Interface) (ports []secgroup.PortRange) {
	b := s.BalancerOf(i)
	if b == nil {
		return nil
	}
	for _, l := range b.Listeners {
		ports = append(ports, secgroup.PortRange{From: l.Port, To: l.Port})
	}
	return secgroup.SortPorts(ports)
}

// A Listener passes on what comes in on a port.
type Listener struct {
	Port      uint16
	Targets   []*TargetGroup
	ARN       string // of an Application Load Balancer's listener, which has rules
	MutualTLS bool   // it demands a client certificate
}

// A TargetGroup has targets that are treated alike.
type TargetGroup struct {
	Name   string
	Type   string // instance, ip, lambda or alb
	VPC    string
	Family secgroup.Family
	// Preserves says that targets see the client's address, where it is of their family. See
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html
	Preserves bool
	Targets   []Target
	Err       error // why its targets, or whether it preserves addresses, are unknown
}

// A Target is a port of an interface.
type Target struct {
	ID   string // i-… or an address
	Port uint16
	// Serving says that its health check passes: without any that does, all get requests. See
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
	Serving bool
	// Subject is the interface with its groups; nil if it is not visible here, as one of another network.
	Subject *Subject
}

// behind returns which wanted addresses the targets of a port refuse, and which targets the world reaches directly.
func (b *Balancer) behind(j *judge, f family, groups []secgroup.Group, port secgroup.PortRange) (found []Finding) {
	if b.Err != nil {
		return find(Unknown, f.wanted, "cannot see the targets of load balancer %s: %v", b.Name, b.Err)
	}
	used := func(tg *TargetGroup) bool { return len(tg.Targets) > 0 || tg.Err != nil }
	for _, l := range b.Listeners {
		if port.From <= l.Port && l.Port <= port.To {
			for _, tg := range l.Targets {
				if used(tg) || !slices.ContainsFunc(l.Targets, used) { // one beside them, as in a blue/green deployment, may be empty
					found = append(found, b.at(j, tg, f, groups)...)
				}
			}
		}
	}
	return found
}

// targetFindings are findings at targets. One that holds at several targets comes once.
type targetFindings struct {
	all     []Finding
	targets [][]string // of each finding
}

// add adds a finding at a target, if it is about any address. Its cause names the target as {targets}.
func (t *targetFindings) add(v Verdict, set *ipspace.Set, target, format string, args ...any) {
	for _, x := range find(v, set, format, args...) {
		same := func(o Finding) bool { return o.Verdict == v && o.Cause == x.Cause && o.set.Equal(set) }
		i := slices.IndexFunc(t.all, same)
		if i < 0 {
			i = len(t.all)
			t.all, t.targets = append(t.all, x), append(t.targets, nil)
		}
		t.targets[i] = append(t.targets[i], target)
	}
}

// named returns the findings with the names of their targets.
func (t *targetFindings) named() []Finding {
	for i, ids := range t.targets {
		t.all[i].Cause = strings.ReplaceAll(t.all[i].Cause, "{targets}", words.Few(ids))
	}
	return t.all
}

// at returns what becomes of wanted addresses at the targets of a group that get requests.
func (b *Balancer) at(j *judge, tg *TargetGroup, f family, groups []secgroup.Group) []Finding {
	balancer := "load balancer " + b.Name
	group := fmt.Sprintf("target group %s of %s", tg.Name, balancer)
	switch {
	case tg.Err != nil:
		return find(Unknown, f.wanted, "%s: %v", group, tg.Err)
	case tg.Type == "lambda":
		return nil // it has no address
	case tg.Type == "alb":
		return find(Unknown, f.wanted, "%s: its target is another load balancer: check that as well", group)
	case len(tg.Targets) == 0:
		return find(Unknown, f.wanted, "%s has no target to pass requests on to: register one", group)
	}
	var found targetFindings
	refused := ipspace.Of(nil) // by any target
	serving := slices.ContainsFunc(tg.Targets, func(t Target) bool { return t.Serving })
	for _, t := range tg.Targets {
		if serving && !t.Serving {
			continue
		}
		at := secgroup.PortRange{From: t.Port, To: t.Port}
		if sealed(groups, at) {
			found.add(Blocked, f.wanted, t.ID, "no outbound rule of %s (%s) leads to port %d of {targets}", balancer, names(groups), t.Port)
		}
		if t.Subject == nil {
			found.add(Unknown, f.wanted, t.ID, "%s: cannot see the security groups of {targets}", group)
			continue
		}
		shut, unread := b.shut(j, tg, t, f)
		refused = ipspace.Union(refused, shut)
		switch {
		case len(unread) > 0:
			found.add(Unknown, shut, t.ID, "cannot tell whether {targets} behind %s lets in %s: %s", balancer, witness(shut), j.unreadable(unread))
		case tg.preserves(f):
			found.add(Blocked, shut, t.ID, "{targets} behind %s does not let %s in on port %d from client addresses, which it sees as they are: its groups (%s) are a second door",
				balancer, witness(shut), t.Port, names(t.Subject.Groups))
		default:
			from := "the load balancer's addresses"
			if len(groups) > 0 {
				from = "a group of the load balancer (" + names(groups) + ")"
			}
			found.add(Blocked, shut, t.ID, "{targets} behind %s does not let the load balancer in on port %d: its groups (%s) need a rule for %s",
				balancer, t.Port, names(t.Subject.Groups), from)
		}
		// By an address of its own, the world may reach a target past the load balancer.
		rules, _, _ := j.worldAt(*t.Subject, j.TagKey, []secgroup.PortRange{at})
		for _, w := range rules {
			if i := t.Subject.Interface; i != nil && i.PublicOver(f.Family) && w.Counts(at) {
				found.add(Open, f.wanted, t.ID, "{targets} behind %s has a public address, and %s: anyone who finds it can bypass CloudFront and its WAF", balancer, w)
			}
		}
	}
	for _, t := range tg.Targets {
		if !serving {
			found.add(Unknown, ipspace.Minus(f.wanted, refused), t.ID, "no health check of {targets} behind %s passes: look at the servers there", balancer)
		}
	}
	return found.named()
}

func names(groups []secgroup.Group) string {
	var names []string
	for _, g := range groups {
		names = append(names, GroupID{g.ID, g.Name}.String())
	}
	return words.Few(names)
}

// sealed reports whether the groups of a load balancer let nothing out to a port, whatever its address. See
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-update-security-groups.html and
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
func sealed(groups []secgroup.Group, port secgroup.PortRange) bool {
	return len(groups) > 0 && !slices.ContainsFunc(groups, func(g secgroup.Group) bool {
		return g.Egress == nil || slices.ContainsFunc(g.Egress, func(r secgroup.Rule) bool { return r.OpensTCP(port) })
	})
}

// preserves reports whether targets see the addresses of clients of a family.
func (tg *TargetGroup) preserves(f family) bool { return tg.Preserves && tg.Family == f.Family }

// shut returns the wanted ranges that a target's groups refuse, and unread lists that decide. A rule that refers to a
// group of the load balancer admits all that comes from it, whether client addresses are preserved or not. See
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
func (b *Balancer) shut(j *judge, tg *TargetGroup, t Target, f family) (shut *ipspace.Set, unread []string) {
	var sources []netip.Prefix
	for _, r := range j.rulesAt(*t.Subject) {
		if !r.OpensTCP(secgroup.PortRange{From: t.Port, To: t.Port}) {
			continue
		}
		if _, group, ok := strings.Cut(r.Source.Reference, "/"); ok && slices.Contains(b.Groups, group) {
			return ipspace.Of(nil), nil
		}
		if r.list.Err != nil {
			unread = append(unread, r.list.ID)
		}
		sources = append(sources, r.sources...)
	}
	if tg.preserves(f) {
		return ipspace.Minus(f.wanted, ipspace.Of(sources)), unread
	}
	in := ipspace.Of(sources)
	for _, a := range b.Addresses {
		if a.Is4() == (tg.Family == secgroup.IPv4) && !in.Contains(a) {
			return f.wanted, unread
		}
	}
	return ipspace.Of(nil), nil
}
