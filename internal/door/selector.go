package door

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// A Selector says whose groups are judged. The groups it names itself are judged together, each interface on its own.
type Selector struct {
	Groups        []string     // sg-…
	Interfaces    []string     // eni-…
	Instances     []string     // i-…, all of whose interfaces are meant
	LoadBalancers []string     // names
	Addresses     []netip.Addr // public IPv4 or IPv6 addresses of interfaces
}

// A kind of thing is selected by name.
type kind struct {
	names      func(Selector) []string
	pattern    *regexp.Regexp
	like       string // the pattern in words
	filter     string // for the interfaces that a name means
	none, hint string // the error if there are none, and where to look
}

var groupKind = kind{
	names:   func(s Selector) []string { return s.Groups },
	pattern: regexp.MustCompile(`^sg-[0-9a-f]{8,17}$`), like: "a security group's ID such as sg-0123456789abcdef0",
	none: "there is no security group %s", hint: "check the ID, the account and the region",
}

// interfaceKinds are found by their interfaces.
var interfaceKinds = []kind{
	{
		func(s Selector) []string { return s.Interfaces },
		regexp.MustCompile(`^eni-[0-9a-f]{8,17}$`), "a network interface's ID such as eni-0123456789abcdef0",
		"network-interface-id", "there is no network interface %s", "check the ID and the region",
	},
	{
		func(s Selector) []string { return s.Instances },
		regexp.MustCompile(`^i-[0-9a-f]{8,17}$`), "an instance's ID such as i-0123456789abcdef0", "attachment.instance-id",
		"instance %s has no network interface", "check the ID and the region, and whether it was terminated",
	},
	{
		func(s Selector) []string { return s.LoadBalancers },
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
		regexp.MustCompile(`^[A-Za-z0-9-]{1,32}$`), "a load balancer's name, which has at most 32 letters, digits and hyphens",
		"description", "there is no network interface of a load balancer %s", "check the name and the region",
	},
	{
		func(s Selector) []string { return words.Strings(s.Addresses) }, regexp.MustCompile(``), "", "association.public-ip",
		"there is no network interface with the address %s", "check the address, the account and the region",
	},
}

// Validate reports a selector that selects nothing, or that EC2 would not understand.
func (s Selector) Validate() error {
	selected := 0
	for _, kind := range append([]kind{groupKind}, interfaceKinds...) {
		for _, name := range kind.names(s) {
			if !kind.pattern.MatchString(name) {
				return fmt.Errorf("%q is not %s", name, kind.like)
			}
			selected++
		}
	}
	if selected == 0 {
		return hint.New("nothing to check", "name a security group, instance, network interface, load balancer or public address")
	}
	return nil
}

// A NotFoundError says that something a selector names is not there, in the account and the region that were asked.
type NotFoundError struct{ error }

func (e *NotFoundError) Unwrap() error { return e.error }

// notFound is the error for a name that nothing of the kind has.
func (k kind) notFound(name string) error {
	return &NotFoundError{hint.New(fmt.Sprintf(k.none, name), k.hint)}
}

// balancerDNS matches the names that Elastic Load Balancing gives. Those of Application and Classic Load Balancers are
// NAME-ID.REGION.elb.amazonaws.com, perhaps after internal-, dualstack. or ipv6.; those of Network Load Balancers are
// NAME-ID.elb.REGION.amazonaws.com, perhaps after an Availability Zone. CloudFront's console shows them. See
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-internet-facing-load-balancers.html and
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html
var balancerDNS = regexp.MustCompile(`(?i)^(?:dualstack\.|ipv6\.|[a-z]+-[a-z-]+-[0-9][a-z]\.)?(?:internal-)?([a-z0-9-]+)-[0-9a-f]+\.(?:([a-z0-9-]+)\.elb|elb\.([a-z0-9-]+))\.amazonaws\.com(?:\.cn)?$`)

var (
	url        = regexp.MustCompile(`^(?:(?i:https?)://([^/?#]*).*|(.*?)/?)$`)
	port       = regexp.MustCompile(`^([^:]+|\[.*\]):[0-9]+$`)
	resourceID = regexp.MustCompile(`^(?i:sg|i|eni)-[0-9a-fA-F]+$`)
)

// ParseName returns what somebody means who names an origin or a security group: the name of a load balancer that is
// given by its ARN, its DNS name or a URL, the ID in an ARN of EC2, or the host and the address in a URL. It returns
// the region too if the text says it.
func ParseName(text string) (name, region string) {
	text = strings.TrimSpace(text)
	if a, err := arn.Parse(text); err == nil {
		parts := strings.Split(a.Resource, "/")
		switch {
		case a.Service == "elasticloadbalancing" && parts[0] == "loadbalancer" && len(parts) > 1:
			return parts[len(parts)/2], a.Region // loadbalancer/app/NAME/ID, of a Classic one loadbalancer/NAME
		case a.Service == "ec2" && len(parts) == 2:
			return strings.ToLower(parts[1]), a.Region
		}
		return text, ""
	}
	m := url.FindStringSubmatch(text)
	host := strings.TrimSuffix(port.ReplaceAllString(m[1]+m[2], "$1"), ".")
	if inner, ok := strings.CutPrefix(host, "["); ok { // an IPv6 address in a URL
		host = strings.TrimSuffix(inner, "]")
	}
	if m := balancerDNS.FindStringSubmatch(host); m != nil {
		return m[1], strings.ToLower(m[2] + m[3])
	}
	if resourceID.MatchString(host) {
		host = strings.ToLower(host)
	}
	return host, ""
}
