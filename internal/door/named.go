package door

import (
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

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
