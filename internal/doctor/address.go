package doctor

import (
	"fmt"
	"net/netip"
	"slices"
)

// findAt adds a finding about one address. The same about several is one finding. A failure, or a possible one, over
// IPv6 is only a warning for an origin that has IPv4 as well, because CloudFront connects over IPv6 only if told to,
// unless the distribution is known. See [pageIPv6].
func (w *walk) findAt(step *Step, addr netip.Addr, f Finding) {
	if (f.Verdict == Fail || f.Verdict == Unknown) && w.isOptional(addr) {
		f.Verdict = Warn
		f.Message += " (matters if the origin's IP address type is ipv6 or dualstack; the default is ipv4)"
	}
	f = f.printable()
	at := slices.Index(step.Findings, f)
	if at < 0 {
		at = len(step.Findings)
		step.find(f)
	}
	if !slices.Contains(step.where[at], addr) {
		step.where[at] = append(step.where[at], addr)
	}
}

// locate has findings say which addresses they are about. If the origin has only one, it is not repeated.
func (s *Step) locate(addresses int) {
	for i, where := range s.where {
		if addresses > 1 && len(where) > 0 {
			s.Findings[i].Message = fmt.Sprintf("%s: %s", joinAddresses(where), s.Findings[i].Message)
		}
	}
}
