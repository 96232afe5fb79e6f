package ec2sim

import (
	"fmt"
	"strings"

	"golang.org/x/time/rate"
)

// A Bucket is a token bucket: how many tokens it holds, and how many a second flow into it. A call takes one.
type Bucket struct {
	Capacity int
	Refill   float64
}

// A Throttle says how fast an action of EC2 may be called. Every account has a bucket for each action in each region,
// and one more for a describe action that asks for everything: without an id, a filter or pages.
type Throttle func(action string, everything bool) Bucket

// EC2Throttle holds a caller to the limits of an account that never asked for others.
//
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
func EC2Throttle(action string, everything bool) Bucket {
	switch {
	case action == "CreateTags", action == "DeleteTags":
		return Bucket{100, 10}
	case action == "ModifyNetworkInterfaceAttribute":
		return Bucket{100, 5}
	case mutating(action): // resource-intensive or not
		return Bucket{50, 5}
	case everything && (action == "DescribeSecurityGroups" || action == "DescribeNetworkInterfaces"):
		return Bucket{50, 10}
	}
	return Bucket{100, 20}
}

// everything reports whether a call gives no id, no filter and no page size.
func (c *call) everything() bool {
	for name := range c.params {
		if name == "MaxResults" || strings.Contains(name, ".") {
			return false
		}
	}
	return true
}

// takeToken refuses a call for which the bucket has no token.
func (s *Server) takeToken(c *call) {
	if s.options.Throttle == nil || c.caller.service != "ec2" {
		return
	}
	everything := !mutating(c.action) && c.everything()
	key := fmt.Sprint(c.account, c.caller.region, c.action, everything)
	if s.limiters[key] == nil {
		b := s.options.Throttle(c.action, everything)
		s.limiters[key] = rate.NewLimiter(rate.Limit(b.Refill), b.Capacity)
	}
	if !s.limiters[key].AllowN(s.options.Now(), 1) {
		refuse("RequestLimitExceeded", "Request limit exceeded. Account %s has been throttled on ec2:%s because it exceeded its request rate limit.", c.account, c.action)
	}
}
