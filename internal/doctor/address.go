package doctor

import (
	"fmt"
	"net/netip"
	"slices"
)

// perAddress collects findings about single addresses, so that each is reported once.
type perAddress struct {
	w     *walk
	order []Finding
	where map[Finding][]netip.Addr
}

func (w *walk) perAddress() *perAddress {
	return &perAddress{w: w, where: map[Finding][]netip.Addr{}}
}

// add notes a finding. A failure, or a possible one, over IPv6 is only a warning for an origin that has IPv4 as well,
// because CloudFront connects over IPv6 only if told to, unless the distribution is known. See [pageIPv6].
func (p *perAddress) add(addr netip.Addr, f Finding) {
	if (f.Verdict == Fail || f.Verdict == Unknown) && p.w.isOptional(addr) {
		f.Verdict = Warn
		f.Message += " (matters if the origin's IP address type is ipv6 or dualstack; the default is ipv4)"
	}
	if _, ok := p.where[f]; !ok {
		p.order = append(p.order, f)
	}
	if !slices.Contains(p.where[f], addr) {
		p.where[f] = append(p.where[f], addr)
	}
}

// addTo adds the findings to a step, with the addresses they are about. If the origin has only one address, it is not
// repeated.
func (p *perAddress) addTo(step *Step, addresses int) {
	for _, f := range p.order {
		if where := p.where[f]; addresses > 1 {
			f.Message = fmt.Sprintf("%s: %s", joinAddresses(where), f.Message)
		}
		step.find(f)
	}
}
