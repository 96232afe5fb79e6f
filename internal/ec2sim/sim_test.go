package ec2sim_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"cloudfront-sg-sync/internal/ec2sim"
)

const region = "us-east-1"

// sim is an endpoint and the real SDK's client for it.
type sim struct {
	*ec2sim.Server
	*ec2.Client
	t    *testing.T
	url  string
	here ec2sim.Region
}

func start(t *testing.T, o ec2sim.Options) *sim {
	t.Helper()
	s := ec2sim.New(o)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	here := s.Region("", region)
	return &sim{Server: s, Client: client(server.URL, region), t: t, url: server.URL, here: here}
}

// client returns an SDK client that does not retry, so that a test sees each answer.
func client(url, region string) *ec2.Client {
	return ec2.NewFromConfig(awsConfig(region), func(o *ec2.Options) { o.BaseEndpoint = &url })
}

func awsConfig(region string) aws.Config {
	return aws.Config{
		Region:      region,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
		HTTPClient:  &http.Client{Transport: patient{}},
	}
}

// patient is a transport that takes no harm from the SDK closing the body of a request early, see distant. Slowed down
// by the race detector, even this endpoint's distance is not enough for the SDK.
type patient struct{}

func (patient) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r = r.Clone(r.Context())
		r.Body = struct{ io.ReadCloser }{r.Body} // without WriteTo, which fails after Close where Read does not
	}
	return http.DefaultTransport.RoundTrip(r)
}

// group creates a security group by hand.
func (s *sim) group(vpc, name string, rules ...ec2sim.Rule) string {
	s.t.Helper()
	g, err := s.here.CreateGroup(ec2sim.Group{Name: name, VPC: vpc, Ingress: rules})
	if err != nil {
		s.t.Fatal(err)
	}
	return g.ID
}

func (s *sim) rules(id string) []ec2sim.Rule {
	s.t.Helper()
	g, ok := s.here.Group(id)
	if !ok {
		s.t.Fatalf("no group %s", id)
	}
	return g.Ingress
}

func (s *sim) authorize(id string, perms ...types.IpPermission) error {
	_, err := s.AuthorizeSecurityGroupIngress(s.t.Context(), &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: perms})
	return err
}

// tcp is a permission of one port from IP ranges of either family.
func tcp(port int32, cidrs ...string) types.IpPermission {
	p := types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: &port, ToPort: &port}
	for _, c := range cidrs {
		if prefix, err := netip.ParsePrefix(c); err == nil && prefix.Addr().Is6() {
			p.Ipv6Ranges = append(p.Ipv6Ranges, types.Ipv6Range{CidrIpv6: aws.String(c)})
		} else {
			p.IpRanges = append(p.IpRanges, types.IpRange{CidrIp: aws.String(c)})
		}
	}
	return p
}

// v4 and v6 return n different ranges.
func v4(n int) []string { return ranges(n, "10.%d.%d.0/24") }
func v6(n int) []string { return ranges(n, "2001:db8:%x:%x::/64") }

func ranges(n int, format string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i/256, i%256)
	}
	return list
}

// rule is a rule as tests write it.
func rule(port int32, cidr, description string) ec2sim.Rule {
	return ec2sim.Rule{Permission: ec2sim.TCP(port, port, netip.MustParsePrefix(cidr)), Description: description}
}

// wantCode fails the test unless err is an API error of the given code, or nil for the empty code.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if got := codeOf(err); got != code {
		t.Errorf("got error %q (%v), want %q", got, err, code)
	}
}

func codeOf(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	if err != nil {
		return "not an API error"
	}
	return ""
}

// statusOf returns the HTTP status an error came with.
func statusOf(err error) int {
	if e, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		return e.HTTPStatusCode()
	}
	return 0
}
