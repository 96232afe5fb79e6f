package door

import (
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// balancerDNS are the names that Elastic Load Balancing gives: of an Application or Classic one
// NAME-ID.REGION.elb.amazonaws.com, perhaps after internal- or dualstack., and of a Network one
// NAME-ID.elb.REGION.amazonaws.com. CloudFront's console shows them. See
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html and
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html
var balancerDNS = regexp.MustCompile(`^(?:dualstack\.)?(?:internal-)?([a-z0-9-]+)-[0-9a-f]+\.(?:([a-z0-9-]+)\.elb|elb\.([a-z0-9-]+))\.amazonaws\.com(?:\.cn)?\.?$`)

// ParseBalancer returns the name of a load balancer that is given by its name, its ARN or its DNS name, and its region
// where that is said.
func ParseBalancer(text string) (name, region string) {
	if a, err := arn.Parse(text); err == nil && a.Service == "elasticloadbalancing" {
		parts := strings.Split(a.Resource, "/") // loadbalancer/app/NAME/ID, of a Classic one loadbalancer/NAME
		if parts[0] == "loadbalancer" && len(parts) > 1 {
			return parts[len(parts)/2], a.Region
		}
	}
	if m := balancerDNS.FindStringSubmatch(strings.ToLower(text)); m != nil {
		// The letters as they were typed.
		start := strings.Index(strings.ToLower(text), m[1])
		return text[start : start+len(m[1])], m[2] + m[3]
	}
	return text, ""
}
