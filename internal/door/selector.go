package door

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"cloudfront-sg-sync/internal/hint"
)

// A Selector says whose groups are judged. The groups it names itself are judged together, each interface on its own.
type Selector struct {
	Groups        []string     // sg-…
	Instances     []string     // i-…, all of whose interfaces are meant
	Interfaces    []string     // eni-…
	LoadBalancers []string     // names
	Addresses     []netip.Addr // public IPv4 or IPv6 addresses of interfaces
}

// names are the kinds of things that are selected by name.
var names = []struct {
	of      func(Selector) []string
	pattern *regexp.Regexp
	like    string
}{
	{func(s Selector) []string { return s.Groups }, regexp.MustCompile(`^sg-[0-9a-f]{8,17}$`), "a security group's ID such as sg-0123456789abcdef0"},
	{func(s Selector) []string { return s.Instances }, regexp.MustCompile(`^i-[0-9a-f]{8,17}$`), "an instance's ID such as i-0123456789abcdef0"},
	{func(s Selector) []string { return s.Interfaces }, regexp.MustCompile(`^eni-[0-9a-f]{8,17}$`), "a network interface's ID such as eni-0123456789abcdef0"},
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
	{func(s Selector) []string { return s.LoadBalancers }, regexp.MustCompile(`^[A-Za-z0-9-]{1,32}$`), "a load balancer's name, which has at most 32 letters, digits and hyphens"},
}

// Validate reports a selector that selects nothing, or that EC2 would not understand.
func (s Selector) Validate() error {
	selected := len(s.Addresses)
	for _, kind := range names {
		for _, name := range kind.of(s) {
			if !kind.pattern.MatchString(name) {
				return fmt.Errorf("%q is not %s", name, kind.like)
			}
		}
		selected += len(kind.of(s))
	}
	if selected == 0 {
		return hint.New("nothing to check", "name a security group, instance, network interface, load balancer or public address")
	}
	return nil
}

// A NotFoundError says that something a selector names is not there, in the account and the region that were asked.
type NotFoundError struct{ problem, hint string }

func (e *NotFoundError) Error() string { return e.problem + "; " + e.hint }

// Hint returns where to look.
func (e *NotFoundError) Hint() string { return e.hint }

// notFound returns an error for each of the wanted that is not among the found. The problem is a format that takes the
// name.
func notFound(wanted, found []string, problem, hint string) []error {
	var errs []error
	for _, name := range wanted {
		if !slices.Contains(found, name) {
			errs = append(errs, &NotFoundError{fmt.Sprintf(problem, name), hint})
		}
	}
	return errs
}
