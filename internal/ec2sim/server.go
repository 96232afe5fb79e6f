package ec2sim

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// DefaultAccount is the account of a caller whose access key the endpoint did not issue, unless [Options] names
// another.
const DefaultAccount = "111122223333"

// DefaultRulesPerGroup is the quota of inbound rules per security group of an account that never asked for another.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const DefaultRulesPerGroup = 60

// maxRequestBytes bounds a request's body.
const maxRequestBytes = 4 << 20

// Options say how an endpoint differs from a freshly opened AWS account. The zero value is ready for use.
type Options struct {
	// RulesPerGroup is the quota L-0EA8095F, counted apart for IPv4 and IPv6; [DefaultRulesPerGroup] if zero.
	// [Region.SetQuota] changes it for one region.
	RulesPerGroup int
	// GroupsPerInterface is the quota L-2AFB9258, [defaultGroupsPerInterface] if zero. Multiplied by RulesPerGroup it
	// comes to 1,000 at most, and is less if it would not.
	GroupsPerInterface int
	// Account owns every access key the endpoint did not issue itself; [DefaultAccount] if empty.
	Account string
	// Roles may be assumed; any other is refused.
	Roles []Role
	// Deny names actions the caller may not take, see [Server.Deny].
	Deny []string
	// Throttle limits how fast EC2 may be called, see [EC2Throttle]; nil for no limit.
	Throttle Throttle
	// PrefixListDelay is how long a prefix list is in progress of being created, modified, restored or deleted; not at
	// all if zero.
	PrefixListDelay time.Duration
	// Remember is how many states of a region a [Stale] answer may reach back.
	Remember int
	// Now is the clock of throttling, of prefix lists and of expiry times; [time.Now] if nil.
	Now func() time.Time
}

// A Server is an EC2 endpoint with its own accounts and regions. It also answers for Elastic Load Balancing, STS and
// Service Quotas. It is safe for concurrent use: calls take effect one after the other.
type Server struct {
	home          string
	rulesPerGroup int
	groupQuota    int           // security groups per network interface
	listDelay     time.Duration // how long a change of a prefix list takes
	throttle      Throttle
	remembered    int
	now           func() time.Time

	mu         sync.Mutex
	lastID     uint64
	lastPathID uint64
	requests   int
	seq        int
	sites      map[siteKey]*site
	roles      map[string]Role
	keys       map[string]session
	limiters   map[limiterKey]*rate.Limiter
	faults     []*armedFault
	calls      []Call
	observers  []func(Change)
	unsettled  []*PrefixList // that a change is under way to
	touched    []string      // IDs of what the call under way has changed
}

// New returns an endpoint on which every account has, in every region, one default and one other VPC.
func New(o Options) *Server {
	s := &Server{
		home:          cmp.Or(o.Account, DefaultAccount),
		rulesPerGroup: cmp.Or(o.RulesPerGroup, DefaultRulesPerGroup),
		groupQuota:    cmp.Or(o.GroupsPerInterface, defaultGroupsPerInterface),
		listDelay:     o.PrefixListDelay,
		throttle:      o.Throttle,
		remembered:    o.Remember,
		now:           o.Now,
		sites:         map[siteKey]*site{},
		roles:         map[string]Role{},
		keys:          map[string]session{},
		limiters:      map[limiterKey]*rate.Limiter{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, r := range o.Roles {
		s.roles[r.ARN] = r
	}
	s.Deny(o.Deny...)
	return s
}

// ServeHTTP answers one call of EC2, Elastic Load Balancing, STS or Service Quotas; which one, the credential scope of
// the request's signature says.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequestBytes)
	if r.Context().Value(http.ServerContextKey) != nil { // over a network, see [Server.RoundTrip]
		w = distant{w}
	}
	caller, err := s.authenticate(r)
	if err != nil {
		s.refuse(w, ec2Protocol{}, err)
		return
	}
	protocol := protocolOf(caller.service)
	call, err := protocol.decode(r)
	if err != nil {
		s.refuse(w, protocol, err)
		return
	}
	call.caller = caller

	s.mu.Lock()
	s.requests++
	call.requestID = requestID(s.requests)
	answer, fault, err := s.execute(call)
	s.mu.Unlock()

	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-r.Context().Done():
		}
	}
	if fault.Kind == CutBefore || fault.Kind == CutAfter {
		panic(http.ErrAbortHandler) // net/http closes the connection without an answer
	}
	if err != nil {
		protocol.writeError(w, call.requestID, asAPIError(err))
		return
	}
	protocol.write(w, call, answer)
}

// refuse answers a request that never became a call.
func (s *Server) refuse(w http.ResponseWriter, p protocol, err error) {
	s.mu.Lock()
	s.requests++
	id := requestID(s.requests)
	s.mu.Unlock()
	p.writeError(w, id, asAPIError(err))
}

// execute runs a call with s.mu held, and records it. The fault that hit the call, if any, has already been taken into
// account, except its delay and its cutting of the connection.
func (s *Server) execute(c *call) (answer any, fault Fault, err error) {
	s.settle()
	record := Call{
		Account: c.caller.account, Region: c.caller.region,
		Service: c.caller.service, Action: c.action,
		Resource: c.resource(), Mutating: mutating(c.action),
	}
	fault = s.strike(record)
	record.Fault = fault.Kind
	switch {
	case fault.Kind == ErrorBefore || fault.Kind == Refused:
		err = fault.apiError(record.Service)
	case fault.Kind == CutBefore:
		err = errCut
	default:
		if fault.Kind == Stale && !record.Mutating {
			defer s.site(c.caller.account, c.caller.region).rewind(max(fault.Back, 1))()
		}
		answer, err = s.perform(c)
		record.Effective = err == nil && record.Mutating
		record.Rules = c.rules
		switch {
		case fault.Kind == CutAfter:
			err = errCut
		case fault.Kind == ErrorAfter && err == nil:
			err = fault.apiError(record.Service)
		}
	}
	if err != nil {
		record.Error = asAPIError(err).code
	}
	s.record(record)
	s.touched = nil
	return answer, fault, err
}

// perform checks what EC2 checks of every call, and carries it out.
func (s *Server) perform(c *call) (any, error) {
	act, ok := actions[c.caller.service][c.action]
	if !ok {
		return nil, errorf("InvalidAction", "The action %s is not valid for this web service.", c.action)
	}
	if !regionExists(c.caller.region) {
		// The real EC2 has no address to send such a request to.
		return nil, errorf("AuthFailure", "AWS was not able to validate the provided access credentials: there is no region %q", c.caller.region)
	}
	if err := s.takeToken(c); err != nil {
		return nil, err
	}
	return act(s.site(c.caller.account, c.caller.region), c)
}

// A call is a request that has been told from any other.
type call struct {
	caller    caller
	requestID string
	action    string
	params    url.Values // of the Query protocol
	body      []byte     // of the JSON protocol
	rules     int        // rules the call was about, for the record
}

// resourceParams are the parameters that say what a call is about.
var resourceParams = []string{
	"GroupId", "GroupId.1", "ResourceId.1", "NetworkInterfaceId", "NetworkInterfaceId.1",
	"PrefixListId", "PrefixListId.1", "VpcId", "VpcId.1", "SubnetId", "GroupName", "RoleArn",
	"LoadBalancerArn", "LoadBalancerArns.member.1", "Names.member.1", "ResourceArns.member.1",
}

// resource returns the id of what the call is about, as far as it names one.
func (c *call) resource() string {
	for _, name := range resourceParams {
		if v := c.params.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// newID returns an id that sorts after every one before it, so that the order of ids is the order of creation.
func (s *Server) newID(prefix string) string {
	s.lastID++
	return formatID(prefix, s.lastID)
}

// newHexID returns the end of an ARN of Elastic Load Balancing: hexadecimal digits, in the order of creation.
func (s *Server) newHexID() string { return strings.TrimPrefix(s.newID("x"), "x-0") }

// newPathID does so for what a VPC has without being asked for, so that it does not shift the other IDs.
func (s *Server) newPathID(prefix string) string {
	s.lastPathID++
	return formatID(prefix, s.lastPathID)
}

func formatID(prefix string, n uint64) string { return fmt.Sprintf("%s-0%016x", prefix, n*0x9e3779b97) }

func requestID(n int) string {
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", n)
}

var errCut = errors.New("connection cut")
