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

// isClassic reports whether an interface belongs to a Classic Load Balancer.
func isClassic(i *Interface) bool {
	return i != nil && i.RequesterManaged && strings.HasPrefix(i.Description, "ELB ") && i.LoadBalancer() == ""
}

// A Listener passes on what comes in on a port.
type Listener struct {
	Port    uint16
	Targets []*TargetGroup
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
	// Serving says that its health check passes: without any that does, all get requests.
	Serving bool
	// Subject is the interface with its groups; nil if it is not visible here, as one of another network.
	Subject *Subject
}

// behind returns what the targets of a port refuse of the wanted addresses that a load balancer passes on, those with
// the same outcome as one, and which targets the world reaches past it.
func (b *Balancer) behind(j *judge, f family, port secgroup.PortRange) (found []Finding) {
	if b.Err != nil {
		return find(Unknown, f.wanted, always("cannot see the targets of load balancer %s: %v", b.Name, b.Err))
	}
	for _, l := range b.Listeners {
		if l.Port < port.From || port.To < l.Port {
			continue
		}
		for _, tg := range l.Targets {
			var outcomes []outcome
			for _, o := range b.outcomes(j, tg, f) {
				if i := slices.IndexFunc(outcomes, o.same); i >= 0 {
					outcomes[i].targets = append(outcomes[i].targets, o.targets...)
				} else {
					outcomes = append(outcomes, o)
				}
			}
			for _, o := range outcomes {
				found = append(found, find(o.verdict, o.set, func(a netip.Addr) string { return o.cause(words.Few(o.targets), a) })...)
			}
		}
	}
	return found
}

// An outcome is what becomes of wanted addresses at targets, and why.
type outcome struct {
	verdict Verdict
	set     *ipspace.Set
	targets []string
	cause   func(targets string, witness netip.Addr) string
}

func (o outcome) same(other outcome) bool {
	return o.verdict == other.verdict && o.set.Equal(other.set) && o.cause("", netip.Addr{}) == other.cause("", netip.Addr{})
}

// outcomes returns those at each target that gets requests.
func (b *Balancer) outcomes(j *judge, tg *TargetGroup, f family) (found []outcome) {
	unknown := func(t string, format string, args ...any) outcome {
		return outcome{Unknown, f.wanted, []string{t}, func(targets string, _ netip.Addr) string {
			return fmt.Sprintf("target group %s of load balancer %s: ", tg.Name, b.Name) + fmt.Sprintf(format, args...) + targets
		}}
	}
	switch {
	case tg.Err != nil:
		return []outcome{unknown("", "%v", tg.Err)}
	case tg.Type == "lambda":
		return nil // it has no address
	case tg.Type == "alb":
		return []outcome{unknown("", "its target is another load balancer: check that as well")}
	}
	serving := slices.ContainsFunc(tg.Targets, func(t Target) bool { return t.Serving })
	for _, t := range tg.Targets {
		if serving && !t.Serving {
			continue
		}
		if t.Subject == nil {
			found = append(found, unknown(t.ID, "cannot see the security groups of "))
			continue
		}
		found = append(found, b.refused(j, tg, t, f))
		if at := t.Subject.Interface; at != nil && at.PublicOver(f.Family) {
			found = append(found, b.bypassed(j, t, f)...)
		}
	}
	return found
}

// refused is what a target's groups do to the wanted addresses.
func (b *Balancer) refused(j *judge, tg *TargetGroup, t Target, f family) outcome {
	from := "the load balancer's address"
	if tg.preserves(f) {
		from = "client addresses, which it sees as they are"
	}
	shut, unread := b.shut(tg, t, f, j.Lists)
	if len(unread) > 0 {
		return outcome{Unknown, shut, []string{t.ID}, func(targets string, a netip.Addr) string {
			return fmt.Sprintf("cannot tell whether %s behind load balancer %s lets in %s: %s", targets, b.Name, a, j.unreadable(unread))
		}}
	}
	return outcome{Blocked, shut, []string{t.ID}, func(targets string, a netip.Addr) string {
		return fmt.Sprintf("%s behind load balancer %s does not let %s in on port %d from %s: its groups (%s) are a second door",
			targets, b.Name, a, t.Port, from, groupNames(t.Subject.Groups))
	}}
}

// preserves reports whether targets see the addresses of clients of a family.
func (tg *TargetGroup) preserves(f family) bool { return tg.Preserves && tg.Family == f.Family }

// bypassed returns the rules by which the world reaches a target past the load balancer, by an address of its own.
func (b *Balancer) bypassed(j *judge, t Target, f family) (found []outcome) {
	at := secgroup.PortRange{From: t.Port, To: t.Port}
	rules, _, _ := t.Subject.world(j.Scene, j.tagKey, []secgroup.PortRange{at})
	for _, w := range rules {
		if w.Counts(at) {
			found = append(found, outcome{Open, f.wanted, []string{t.ID}, func(targets string, _ netip.Addr) string {
				return fmt.Sprintf("%s behind load balancer %s has a public address, and %s: anyone who finds it can bypass CloudFront and its WAF", targets, b.Name, w)
			}})
		}
	}
	return found
}

// shut returns the wanted ranges that a target's groups refuse, and the lists that decide but could not be read. A rule
// that refers to a group of the load balancer admits all that comes from it, whether client addresses are preserved or
// not. See
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
func (b *Balancer) shut(tg *TargetGroup, t Target, f family, lists map[string]PrefixList) (shut *ipspace.Set, unread []string) {
	var sources []netip.Prefix
	for _, r := range t.Subject.rules() {
		if !r.OpensTCP(secgroup.PortRange{From: t.Port, To: t.Port}) {
			continue
		}
		if _, group, ok := strings.Cut(r.Source.Reference, "/"); ok && slices.Contains(b.Groups, group) {
			return ipspace.Of(nil), nil
		}
		if list := lists[r.Source.Reference]; list.Err != nil {
			unread = append(unread, list.ID)
		}
		sources = append(sources, sourcesOf(r.Rule, lists)...)
	}
	if tg.preserves(f) {
		return ipspace.Minus(f.wanted, setOf(f.Family, sources)), unread
	}
	in := setOf(tg.Family, sources)
	for _, a := range b.Addresses {
		if a.Is4() == (tg.Family == secgroup.IPv4) && !in.Contains(a) {
			return f.wanted, unread
		}
	}
	return ipspace.Of(nil), nil
}

func groupNames(groups []secgroup.Group) string {
	var names []string
	for _, g := range groups {
		names = append(names, strings.TrimSpace(g.ID+" "+g.Name))
	}
	return words.Few(names)
}
