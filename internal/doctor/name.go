package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
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
		step.Find("ip-literal", "the URL has an IP address; CloudFront accepts only a DNS name as origin domain")
	} else if !w.lookUp(ctx, &step, name) {
		return step
	}
	families := w.Distribution.Families
	if unused, some := map[Families]func(netip.Addr) bool{OnlyIPv4: netip.Addr.Is6, OnlyIPv6: netip.Addr.Is4}[families]; some {
		w.addresses = slices.DeleteFunc(w.addresses, unused)
	}
	if len(w.addresses) == 0 {
		step.Summary = "no address that CloudFront uses"
		step.Find("family-missing", "%s has no address of the origin's IP address type, %s", name, families)
		return step
	}
	for _, addr := range w.addresses {
		use := ipspace.ReservedFor(addr)
		w.report.Addresses = append(w.report.Addresses, Address{IP: addr, Public: use == "", Use: use})
		if use != "" {
			w.findAt(&step, addr, unreachable(name, use))
		}
	}
	if len(w.addresses) > maxAddresses {
		step.Find("many-addresses", "of %d addresses, only the first %d were checked", len(w.addresses), maxAddresses)
		w.addresses = w.addresses[:maxAddresses]
	}
	if !w.hasIPv4() && families == AnyFamily {
		step.Find("ipv6-only", "%s has no IPv4 address", name)
	}
	step.Summary = words.Few(words.Strings(w.addresses))
	return step
}

// lookUp finds the addresses of the name, IPv4 first, and reports whether there are any.
func (w *walk) lookUp(ctx context.Context, step *Step, name string) bool {
	w.Progress("resolving " + name)
	patience, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addresses, err := w.lookup(patience, name)
	for i, addr := range addresses {
		addresses[i] = addr.Unmap()
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
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
	why := "it has neither an A nor an AAAA record"
	code := "name-not-resolved"
	if err != nil {
		why = causeOf(err)
		if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsNotFound {
			code = "name-lookup-failed"
		}
	}
	return finding(code, "%s does not resolve: %s", name, why).advise(name)
}

// unreachable is an address that exists only on this machine's network.
func unreachable(name, use string) Finding {
	f := finding("address-not-public", "not a public address (%s): CloudFront connects over the internet and cannot reach it", use)
	if _, err := netip.ParseAddr(name); err != nil {
		f.Advice += fmt.Sprintf(" If the name leads elsewhere on the internet (split-horizon DNS), look at what a public resolver says: dig %s @1.1.1.1", name)
	}
	return f
}

// isOptional reports whether CloudFront does without an address, as far as anyone knows: one of IPv6 beside IPv4.
func (w *walk) isOptional(addr netip.Addr) bool {
	return addr.Is6() && w.hasIPv4() && w.Distribution.Families == AnyFamily
}

// hasIPv4 reports whether CloudFront can connect over IPv4, which is its default.
func (w *walk) hasIPv4() bool { return slices.ContainsFunc(w.addresses, netip.Addr.Is4) }
