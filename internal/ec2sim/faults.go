package ec2sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// A FaultKind is what goes wrong with a call.
type FaultKind string

// The kinds of fault.
const (
	Refused     FaultKind = "refused"      // as IAM does for lack of permission
	ErrorBefore FaultKind = "error before" // answers with an error and changes nothing
	ErrorAfter  FaultKind = "error after"  // does what was asked and then answers with an error
	CutBefore   FaultKind = "cut before"   // closes the connection without an answer and changes nothing
	CutAfter    FaultKind = "cut after"    // does what was asked and closes the connection without an answer
	Slow        FaultKind = "slow"         // does what was asked and answers after the delay
	// Stale answers a call that changes nothing as it would have before the last changes, see [Options].
	// See https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
	Stale FaultKind = "stale"
)

// Values that the Action of a [Fault] may have besides the name of an action.
const (
	AnyAction   = "*"
	AnyMutating = "mutating"
)

// Forever is a Count that no number of calls uses up.
const Forever = -1

// A Fault makes calls fail. Several may be armed; of those that match a call, the one injected first strikes.
type Fault struct {
	Kind   FaultKind
	Action string // a name such as "DescribeSecurityGroups", [AnyAction] or [AnyMutating]

	Service, Account, Region, Resource string // to match as well, unless empty

	After int // how many matching calls to let pass first
	Count int // how many calls to strike then: one if zero, see also [Forever]

	Code  string        // error code, "InternalError" if empty, or the one of the service for [Refused]
	Delay time.Duration // before the answer, with any kind
	Back  int           // how many changes before now a [Stale] answer is from: one if zero
}

// Inject arms faults.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		f.Count = cmp.Or(f.Count, 1)
		s.faults = append(s.faults, &f)
	}
}

// ClearFaults disarms all faults, those of [Server.Deny] included, and reports how many were still to strike.
func (s *Server) ClearFaults() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.faults)
	s.faults = nil
	return n
}

// Deny refuses actions from now on, as IAM does for lack of permission.
func (s *Server) Deny(actions ...string) {
	for _, name := range actions {
		s.Inject(Fault{Kind: Refused, Action: name, Count: Forever})
	}
}

// refusals are the codes services refuse actions with for lack of permission, other than AccessDenied.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
// and https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
// and https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
// and https://github.com/kubernetes-sigs/aws-load-balancer-controller/pull/413 (what Elastic Load Balancing says)
var refusals = map[string]string{"ec2": "UnauthorizedOperation", "servicequotas": "AccessDeniedException"}

func (s *Server) strike(c Call) Fault {
	for i, f := range s.faults {
		switch {
		case !f.matches(c):
			continue
		case f.After > 0:
			f.After--
			continue
		case f.Count == 1:
			s.faults = slices.Delete(s.faults, i, i+1)
		case f.Count != Forever:
			f.Count--
		}
		return *f
	}
	return Fault{}
}

func (f Fault) matches(c Call) bool {
	matches := func(want, got string) bool { return want == "" || want == got }
	return (f.Action == c.Action || f.Action == AnyAction || f.Action == AnyMutating && c.Mutating) &&
		matches(f.Service, c.Service) && matches(f.Account, c.Account) &&
		matches(f.Region, c.Region) && matches(f.Resource, c.Resource)
}

func (f Fault) apiError(service string) *apiError {
	if f.Kind == Refused {
		return errorf(cmp.Or(f.Code, refusals[service], "AccessDenied"), "You are not authorized to perform this operation.")
	}
	return errorf(cmp.Or(f.Code, "InternalError"), "An internal error has occurred")
}

// A Bucket is a token bucket: how many tokens it holds, and how many a second flow into it. A call takes one.
type Bucket struct {
	Capacity int
	Refill   float64
}

// A Throttle says how fast an action of EC2 may be called. Every account has a bucket for each action in each region,
// and one more for a describe action that asks for everything: without an id, a filter or pages.
type Throttle func(action string, everything bool) Bucket

// EC2Throttle holds a caller to the limits of an account that never asked for others.
// See https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
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

func (s *Server) takeToken(c *call) {
	if s.options.Throttle == nil || c.Service != "ec2" {
		return
	}
	limited := func(name string) bool { return name == "MaxResults" || strings.Contains(name, ".") }
	everything := !c.Mutating && !slices.ContainsFunc(slices.Collect(maps.Keys(c.params)), limited)
	key := fmt.Sprint(c.Account, c.Region, c.Action, everything)
	if s.limiters[key] == nil {
		b := s.options.Throttle(c.Action, everything)
		s.limiters[key] = rate.NewLimiter(rate.Limit(b.Refill), b.Capacity)
	}
	if !s.limiters[key].AllowN(s.options.Now(), 1) {
		refuse("RequestLimitExceeded", "Request limit exceeded. Account %s has been throttled on ec2:%s because it exceeded its request rate limit.", c.Account, c.Action)
	}
}
