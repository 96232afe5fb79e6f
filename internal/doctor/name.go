package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/ipspace"
)

const (
	lookupTimeout = 10 * time.Second // for the resolution of the name
	maxAddresses  = 16               // of the name that are checked
)

// An Address is one that the origin's name resolves to.
type Address struct {
	IP     netip.Addr `json:"ip"`
	Public bool       `json:"public"`
	Use    string     `json:"use,omitempty"` // what it is reserved for, if it is not public
}

// resolve checks where the origin's name leads: CloudFront needs a name that resolves to public addresses.
func (w *walk) resolve(ctx context.Context) Step {
	step := Step{Verdict: OK}
	name := w.Origin.Name()
	if addr, err := netip.ParseAddr(name); err == nil {
		w.addresses = []netip.Addr{addr}
		step.find(Finding{
			Code: "ip-literal", Verdict: Warn, Source: pageOrigin,
			Message: "the URL has an IP address; CloudFront accepts only a DNS name as origin domain",
			Advice:  "To see the origin as CloudFront does, use the name from the distribution.",
		})
	} else if !w.lookUp(ctx, &step, name) {
		return step
	}
	if !w.selectFamily(&step, name) {
		return step
	}
	local := w.perAddress()
	for _, addr := range w.addresses {
		use := ipspace.ReservedFor(addr)
		w.report.Addresses = append(w.report.Addresses, Address{IP: addr, Public: use == "", Use: use})
		if use != "" {
			local.add(addr, unreachable(name, use))
		}
	}
	local.addTo(&step, len(w.addresses))
	if len(w.addresses) > maxAddresses {
		step.find(Finding{Code: "many-addresses", Verdict: OK, Message: fmt.Sprintf("of %d addresses, only the first %d were checked", len(w.addresses), maxAddresses)})
		w.addresses = w.addresses[:maxAddresses]
	}
	if !w.hasIPv4() && w.distribution().Families == AnyFamily {
		step.find(Finding{
			Code: "ipv6-only", Verdict: Warn, Source: pageIPv6, CloudFrontStatus: 502,
			Message: name + " has no IPv4 address",
			Advice:  "CloudFront connects over IPv4 unless the origin's IP address type is ipv6 or dualstack: set it, or add an A record.",
		})
	}
	step.Summary = joinAddresses(w.addresses)
	return step
}

// selectFamily keeps the addresses that CloudFront uses, and reports whether there are any.
func (w *walk) selectFamily(step *Step, name string) bool {
	var unused func(netip.Addr) bool
	families := w.distribution().Families
	switch families {
	case OnlyIPv4:
		unused = netip.Addr.Is6
	case OnlyIPv6:
		unused = netip.Addr.Is4
	default:
		return true
	}
	if w.addresses = slices.DeleteFunc(w.addresses, unused); len(w.addresses) > 0 {
		return true
	}
	step.Summary = "no address that CloudFront uses"
	step.find(Finding{
		Code: "family-missing", Verdict: Fail, Source: pageOrigin, CloudFrontStatus: 502,
		Message: fmt.Sprintf("%s has no address of the origin's IP address type, %s", name, families),
		Advice:  "Add a record of this family, or change the origin's IP address type in the distribution.",
	})
	return false
}

// lookUp finds the addresses of the name, IPv4 first, and reports whether there are any.
func (w *walk) lookUp(ctx context.Context, step *Step, name string) bool {
	w.Progress("resolving " + name)
	patience, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addresses, err := w.lookup(patience, name)
	if ctx.Err() != nil {
		*step = skipped("interrupted")
		return false
	}
	for i, addr := range addresses {
		addresses[i] = addr.Unmap()
	}
	slices.SortFunc(addresses, func(a, b netip.Addr) int {
		return cmp.Or(cmp.Compare(a.BitLen(), b.BitLen()), a.Compare(b))
	})
	w.addresses = slices.Compact(addresses)
	if err == nil && len(w.addresses) > 0 {
		return true
	}
	step.find(unresolved(name, err))
	step.Summary = "does not resolve"
	return false
}

// unresolved is a name without addresses, or one that could not be looked up, which may be this machine's fault.
func unresolved(name string, err error) Finding {
	f := Finding{
		Code: "name-not-resolved", Verdict: Fail, CloudFrontStatus: 502, Source: page502,
		Message: fmt.Sprintf("%s does not resolve: it has neither an A nor an AAAA record", name),
		Advice: fmt.Sprintf("Check the spelling, and whether the zone's name servers answer: dig NS on its zone, then dig %s @ each of them. "+
			"CloudFront resolves names on the internet: it does not see a private zone.", name),
	}
	if err == nil {
		return f
	}
	f.Message = fmt.Sprintf("%s does not resolve: %v", name, rootCause(err))
	if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsNotFound {
		f.Code, f.CloudFrontStatus = "name-lookup-failed", 0
		f.Advice = fmt.Sprintf("No answer came, which may be this machine's resolver: ask another one (dig %s @1.1.1.1). If that fails too, CloudFront fails as well.", name)
	}
	return f
}

// unreachable is an address that exists only on this machine's network.
func unreachable(name, use string) Finding {
	f := Finding{
		Code: "address-not-public", Verdict: Fail, CloudFrontStatus: 504, Source: page504,
		Message: fmt.Sprintf("not a public address (%s): CloudFront connects over the internet and cannot reach it", use),
		Advice:  fmt.Sprintf("Give the origin a public address, or make it a VPC origin (%s).", pageVPCOrigins),
	}
	if _, err := netip.ParseAddr(name); err != nil {
		f.Advice += fmt.Sprintf(" If the name leads elsewhere on the internet (split-horizon DNS), look at what a public resolver says: dig %s @1.1.1.1", name)
	}
	return f
}

// isSpare reports whether CloudFront does without an address, as far as anyone knows: one of IPv6 beside IPv4.
func (w *walk) isSpare(addr netip.Addr) bool {
	return addr.Is6() && w.hasIPv4() && w.distribution().Families == AnyFamily
}

// hasIPv4 reports whether CloudFront can connect over IPv4, which is its default.
func (w *walk) hasIPv4() bool { return slices.ContainsFunc(w.addresses, netip.Addr.Is4) }

// joinAddresses lists a few of the addresses.
func joinAddresses(addresses []netip.Addr) string {
	const most = 4
	text := ""
	for i, addr := range addresses {
		if i == most {
			return fmt.Sprintf("%s and %d more", text, len(addresses)-most)
		}
		if i > 0 {
			text += ", "
		}
		text += addr.String()
	}
	return text
}
