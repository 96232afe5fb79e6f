// Package ec2sim is an EC2 endpoint in memory, for tests, demonstrations and trying things out. It speaks the EC2 Query
// protocol, version 2016-11-15, as the AWS SDKs and the AWS CLI use it. The function and cfsg cannot tell it from AWS as
// far as security groups, their attachments and their references are concerned; what neither can ask for, it does not
// refuse. docs/sim.md says which other services it answers for, whose account and region a call is for, and how seeds
// are written.
//
// A [Server] is an [net/http.Handler]. It records every call, injects the faults a test asks for, and shows the state
// between any two calls.
package ec2sim

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// DefaultAccount is the account of a caller whose access key the endpoint did not issue.
const DefaultAccount = "111122223333"

// DefaultRulesPerGroup is the quota of inbound rules per security group of an account that never asked for another.
// See https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const DefaultRulesPerGroup = 60

// Options say how an endpoint differs from a freshly opened AWS account. The zero value is ready for use.
type Options struct {
	// RulesPerGroup is the quota L-0EA8095F, counted apart for IPv4 and IPv6; [DefaultRulesPerGroup] if zero.
	// [Region.SetQuota] changes it for one region.
	RulesPerGroup   int
	Roles           []Role           // that may be assumed; any other is refused
	Throttle        Throttle         // how fast EC2 may be called, see [EC2Throttle]; nil for no limit
	PrefixListDelay time.Duration    // how long a change of a prefix list is in progress
	Remember        int              // how many states of a region a [Stale] answer may reach back
	Now             func() time.Time // of throttling, of prefix lists and of expiry times; [time.Now] if nil
}

// A Server is an EC2 endpoint with its own accounts and regions. It also answers for Elastic Load Balancing, STS and
// Service Quotas. It is safe for concurrent use: calls take effect one after the other.
type Server struct {
	options Options

	mu        sync.Mutex
	quotas    quotas // of regions that have no others
	lastID    int
	requests  int
	seq       int
	sites     map[siteKey]*site
	keys      map[string]session
	limiters  map[string]*rate.Limiter
	faults    []*Fault
	calls     []Call
	observers []func(Change)
	unsettled []*PrefixList // that a change is under way to
	touched   []string      // IDs of what the call under way has changed
}

// New returns an endpoint on which every account has, in every region, one default and one other VPC.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Server{
		options:  o,
		quotas:   quotas{cmp.Or(o.RulesPerGroup, DefaultRulesPerGroup), defaultGroupsPerInterface},
		sites:    map[siteKey]*site{},
		keys:     map[string]session{},
		limiters: map[string]*rate.Limiter{},
	}
}

// ServeHTTP answers one call of EC2, Elastic Load Balancing, STS or Service Quotas; which one, the credential scope of
// the request's signature says.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<20)
	if r.Context().Value(http.ServerContextKey) != nil { // over a network, see [Server.RoundTrip]
		w = distant{w}
	}
	c := &call{}
	var answer any
	var fault Fault
	err := attempt(func() {
		c.authenticate(r)
		c.decode(r)
	})
	s.mu.Lock()
	s.requests++
	c.requestID = fmt.Sprintf("00000000-0000-4000-8000-%012x", s.requests)
	if err == nil {
		answer, fault, err = s.execute(c)
	}
	status, contentType, doc := c.encode(answer, err) // before the next call changes the resources in it
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
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-RequestId", c.requestID)
	w.WriteHeader(status)
	_, _ = w.Write(doc) // an error means that the caller is gone
}

// execute runs a call with s.mu held, and records it. The fault that hit the call, if any, has already been taken into
// account, except its delay and its cutting of the connection.
func (s *Server) execute(c *call) (answer any, fault Fault, err error) {
	s.settle()
	s.touched = nil
	c.Account, c.Mutating = cmp.Or(s.keys[c.accessKey].account, DefaultAccount), mutating(c.Action)
	for _, name := range resourceParams {
		c.Resource = cmp.Or(c.Resource, c.params.Get(name))
	}
	fault = s.strike(c.Call)
	switch fault.Kind {
	case ErrorBefore, Refused:
		err = fault.apiError(c.Service)
	case CutBefore:
		err = errCut
	default:
		if fault.Kind == Stale && !c.Mutating {
			defer s.site(c.Account, c.Region).rewind(max(fault.Back, 1))()
		}
		answer, err = s.perform(c)
		c.Effective = err == nil && c.Mutating
	}
	if fault.Kind == CutAfter {
		err = errCut
	}
	if fault.Kind == ErrorAfter && err == nil {
		err = fault.apiError(c.Service)
	}
	if err != nil {
		c.Error = asAPIError(err).code
	}
	s.record(c.Call)
	return answer, fault, err
}

var errCut = errors.New("connection cut")

// perform checks what EC2 checks of every call, and carries it out.
func (s *Server) perform(c *call) (answer any, err error) {
	err = attempt(func() {
		act, ok := actions[c.Service][c.Action]
		if !ok {
			refuse("InvalidAction", "The action %s is not valid for this web service.", c.Action)
		}
		if !slices.Contains(regions, c.Region) {
			// The real EC2 has no address to send such a request to.
			refuse("AuthFailure", "AWS was not able to validate the provided access credentials: there is no region %q", c.Region)
		}
		s.takeToken(c)
		if c.params.Get("DryRun") == "true" { // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html
			refuse("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
		}
		answer = act(s.site(c.Account, c.Region), c)
	})
	return answer, err
}

// A call is a request that has been told from any other.
type call struct {
	Call
	accessKey, requestID string
	params               url.Values // of the Query protocols
	body                 []byte     // of the JSON protocol
}

// authenticate reads the credential scope of the request's signature, which is not verified:
//
//	AWS4-HMAC-SHA256 Credential=AKID/20260822/us-east-1/ec2/aws4_request, SignedHeaders=…, Signature=…
//
// See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func (c *call) authenticate(r *http.Request) {
	scope := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	if scope == nil {
		refuse("MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	c.accessKey, c.Region, c.Service = scope[1], scope[2], scope[3]
}

var credential = regexp.MustCompile(`Credential=\s*([^/,]*)/[^/,]*/([^/,]*)/([^/,]*)/aws4_request\s*(?:,|$)`)

var resourceParams = []string{
	"GroupId", "GroupId.1", "ResourceId.1", "NetworkInterfaceId", "NetworkInterfaceId.1", "PrefixListId", "PrefixListId.1",
	"GroupName", "RoleArn", "LoadBalancerArn", "LoadBalancerArns.1", "Names.1", "ResourceArns.1",
}

// newID returns an ID that sorts after every one before it, so that the order of IDs is the order of creation.
func (s *Server) newID(prefix string) string {
	s.lastID++
	return formatID(prefix, s.lastID)
}

func formatID(prefix string, n int) string {
	return fmt.Sprintf("%s-0%016x", prefix, uint64(n)*0x9e3779b97)
}

// RoundTrip answers a request in this process, without a network: as the Transport of an [http.Client] the endpoint
// needs no listener.
func (s *Server) RoundTrip(req *http.Request) (res *http.Response, err error) {
	defer func() {
		switch cut := recover(); cut {
		case nil:
		case http.ErrAbortHandler:
			res, err = nil, errors.New("the connection was cut")
		default:
			panic(cut)
		}
	}()
	if req.Body == nil {
		req.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	if err := req.Context().Err(); err != nil {
		return nil, err // the caller no longer waits for the answer
	}
	return w.Result(), nil
}

// A distant ResponseWriter keeps a long answer back for a moment, as the real EC2 does by being far away.
//
// When an answer begins, the SDK for Go closes the body of its request. If its transport has not looked for the body's
// end by then, it takes that for a failure and closes the connection, under what is left of the answer to read.
// https://github.com/aws/aws-sdk-go-v2/issues/1825
type distant struct{ http.ResponseWriter }

const (
	longAnswer = 2 << 10 // bytes; less is read at once
	distance   = 500 * time.Microsecond
)

func (w distant) Write(p []byte) (int, error) {
	if len(p) > longAnswer {
		time.Sleep(distance)
	}
	return w.ResponseWriter.Write(p)
}
