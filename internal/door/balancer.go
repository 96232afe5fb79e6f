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

// behind returns what the targets of a port refuse of the wanted addresses that a load balancer passes on.
func (b *Balancer) behind(j *judge, f secgroup.Family, port secgroup.PortRange, wanted *ipspace.Set) []Finding {
	if b.Err != nil {
		return find(Unknown, wanted, func(netip.Addr) string {
			return fmt.Sprintf("cannot see the targets of load balancer %s: %v", b.Name, b.Err)
		})
	}
	var found []Finding
	for _, l := range b.Listeners {
		if l.Port < port.From || port.To < l.Port {
			continue
		}
		for _, tg := range l.Targets {
			found = append(found, b.refused(tg, f, wanted, j.Lists)...)
			found = append(found, b.bypassed(j, tg, f, wanted)...)
		}
	}
	return found
}

// refused returns what the targets of a group refuse, those with the same outcome as one.
func (b *Balancer) refused(tg *TargetGroup, f secgroup.Family, wanted *ipspace.Set, lists map[string]PrefixList) []Finding {
	unknown := func(format string, args ...any) []Finding {
		return find(Unknown, wanted, func(netip.Addr) string {
			return fmt.Sprintf("target group %s of load balancer %s: ", tg.Name, b.Name) + fmt.Sprintf(format, args...)
		})
	}
	switch {
	case tg.Err != nil:
		return unknown("%v", tg.Err)
	case tg.Type == "lambda":
		return nil // it has no address
	case tg.Type == "alb":
		return unknown("its target is another load balancer: check that as well")
	}
	targets := tg.Targets
	if slices.ContainsFunc(targets, func(t Target) bool { return t.Serving }) {
		targets = slices.DeleteFunc(slices.Clone(targets), func(t Target) bool { return !t.Serving })
	}
	var found []Finding
	alike := map[string][]string{} // targets by outcome
	for _, t := range targets {
		if t.Subject == nil {
			alike["unseen"] = append(alike["unseen"], t.ID)
			continue
		}
		shut, unread := b.shut(tg, t, f, wanted, lists)
		key := fmt.Sprint(len(unread) > 0, rangesOf(shut).Prefixes)
		alike[key] = append(alike[key], t.ID)
		if len(alike[key]) > 1 {
			continue
		}
		v := Blocked
		if len(unread) > 0 {
			v = Unknown
		}
		from := "the load balancer's address"
		if tg.Preserves && tg.Family == f {
			from = "client addresses, which it sees as they are"
		}
		found = append(found, find(v, shut, func(a netip.Addr) string {
			targets := words.Few(alike[key])
			if len(unread) > 0 {
				return fmt.Sprintf("cannot tell whether %s behind load balancer %s lets in %s: the entries of %s could not be read", targets, b.Name, a, strings.Join(unread, ", "))
			}
			return fmt.Sprintf("%s behind load balancer %s does not let %s in on port %d from %s: its groups (%s) are a second door",
				targets, b.Name, a, t.Port, from, groupNames(t.Subject.Groups))
		})...)
	}
	if hidden := alike["unseen"]; len(hidden) > 0 {
		found = append(found, unknown("cannot see the security groups of %s", words.Few(hidden))...)
	}
	return found
}

// bypassed returns the targets that the world reaches by an address of their own, past the load balancer.
func (b *Balancer) bypassed(j *judge, tg *TargetGroup, f secgroup.Family, wanted *ipspace.Set) (found []Finding) {
	for _, t := range tg.Targets {
		if t.Subject == nil || t.Subject.Interface == nil || !t.Subject.Interface.PublicOver(f) {
			continue
		}
		at := []secgroup.PortRange{{From: t.Port, To: t.Port}}
		rules, _, _ := t.Subject.world(j.Scene, j.tagKey, at)
		for _, w := range rules {
			if w.Counts(at[0]) {
				found = append(found, find(Open, wanted, func(netip.Addr) string {
					return fmt.Sprintf("%s behind load balancer %s has a public address, and %s: anyone who finds it can bypass CloudFront and its WAF", t.ID, b.Name, w)
				})...)
			}
		}
	}
	return found
}

// shut returns the wanted ranges that a target's groups refuse, and the lists that decide but could not be read. A rule
// that refers to a group of the load balancer admits all that comes from it, whether client addresses are preserved or
// not. See
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
func (b *Balancer) shut(tg *TargetGroup, t Target, f secgroup.Family, wanted *ipspace.Set, lists map[string]PrefixList) (shut *ipspace.Set, unread []string) {
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
	if tg.Preserves && tg.Family == f {
		return ipspace.Minus(wanted, setOf(f, sources)), unread
	}
	in := setOf(tg.Family, sources)
	for _, a := range b.Addresses {
		if a.Is4() == (tg.Family == secgroup.IPv4) && !in.Contains(a) {
			return wanted, unread
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
