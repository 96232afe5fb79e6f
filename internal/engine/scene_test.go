package engine

import (
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"go4.org/netipx"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"
)

const (
	key        = "cloudfront-ingress"
	staleStamp = key + ": CLOUDFRONT 2026-01-01T00:00:00Z"
	rangeA     = "18.64.0.0/14"
	rangeB     = "52.222.128.0/17"
)

// scene is an engine on an embedded endpoint, with a feed of some ranges.
type scene struct {
	*Engine
	*judge
	fetcher *iprange.Fetcher
	t       testing.TB
	sim     *ec2sim.Server
	here    ec2sim.Region
	cfg     aws.Config

	file   string // the published one
	ranges []netip.Prefix
}

func newScene(t testing.TB, o ec2sim.Options, regions, roles []string, ranges ...string) *scene {
	t.Helper()
	// A fake clock starts in 2000, and files from the future are refused.
	time.Sleep(time.Until(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)))
	s := &scene{t: t, sim: ec2sim.New(o)}
	s.here, s.judge = s.sim.Region("", "us-east-1"), newJudge(t, s.sim)
	s.cfg = aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1"), HTTPClient: &http.Client{Transport: s.sim},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
		},
	}
	s.fetcher = &iprange.Fetcher{
		Selection: iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true},
		Transport: transport(func() string { return s.file }),
	}
	s.publish(1790000000, prefixes(ranges...))
	s.Engine = &Engine{
		Config:  config.Config{Selection: s.fetcher.Selection, TagKey: key, MaxRevokePercent: 50},
		Fetch:   s.fetcher.Fetch,
		Targets: Targets(s.cfg, regions, roles, ""),
		Log:     slog.New(gapLog{slog.DiscardHandler, s.judge}),
		pause:   time.Millisecond,
	}
	for _, t := range s.Targets {
		t.EC2 = Narrow(ec2.NewFromConfig(t.Config)) // as fast as the endpoint answers
	}
	return s
}

// publish puts up a file with the ranges.
func (s *scene) publish(token int, ranges []netip.Prefix) {
	s.file, s.ranges = publication{token: token, ranges: ranges}.document(), ranges
}

// sync makes a run under the eyes of the judge.
func (s *scene) sync(req Request) (*Report, error) {
	s.t.Helper()
	s.begin(s.ranges)
	report, err := s.Run(s.t.Context(), req)
	if closed := s.end(); len(closed) > 0 {
		s.t.Errorf("in the end %v is closed", closed)
	}
	return report, err
}

// within sets the services that are wanted, and those that may be taken in.
func (s *scene) within(services, within string) {
	s.fetcher.Selection.Services, s.fetcher.Selection.Within = strings.Fields(services), strings.Fields(within)
	s.Selection = s.fetcher.Selection
}

// group makes a group with tags, given as key suffix and value in turn.
func (s *scene) group(at ec2sim.Region, name, ports string, more ...string) string {
	s.t.Helper()
	tags := map[string]string{key: ports}
	for i := 0; i < len(more); i += 2 {
		tags[key+more[i]] = more[i+1]
	}
	g, err := at.CreateGroup(ec2sim.Group{Name: name, VPC: at.OtherVPC(), Tags: tags})
	s.must(err)
	return g.ID
}

// add adds rules for port 443 with a description to a group.
func (s *scene) add(id, description string, ranges ...string) {
	s.t.Helper()
	for _, p := range prefixes(ranges...) {
		s.must(s.here.AddRules(id, ec2sim.Rule{Permission: ec2sim.TCP(443, 443, p), Description: description}))
	}
}

// attach makes an interface with groups, and returns its ID.
func (s *scene) attach(groups ...string) string {
	s.t.Helper()
	eni, err := s.here.CreateInterface(ec2sim.Interface{Description: "ELB app/shop/0123456789abcdef", Groups: groups})
	s.must(err)
	return eni.ID
}

// list makes a tagged prefix list of IPv4 ranges.
func (s *scene) list(at ec2sim.Region, value string, size int, entries ...ec2sim.PrefixListEntry) string {
	s.t.Helper()
	return s.makeList(at, ec2sim.PrefixList{Name: "cloudfront", Family: "IPv4", MaxEntries: size, Entries: entries}, value)
}

func (s *scene) makeList(at ec2sim.Region, l ec2sim.PrefixList, value string) string {
	s.t.Helper()
	l.Tags = ec2sim.Tags{key: value}
	made, err := at.CreatePrefixList(l)
	s.must(err)
	return made.ID
}

func entry(prefix, description string) ec2sim.PrefixListEntry {
	return ec2sim.PrefixListEntry{Prefix: netip.MustParsePrefix(prefix), Description: description}
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// refuse lets EC2 refuse an action from now on, for lack of permission unless another code is given.
func (s *scene) refuse(f ec2sim.Fault) {
	if f.Kind, f.Count = ec2sim.ErrorBefore, ec2sim.Forever; f.Code == "" {
		f.Code = "UnauthorizedOperation"
	}
	s.sim.Inject(f)
}

// sources returns the sources of a group's or a list's rules, in order.
func (s *scene) sources(at ec2sim.Region, id string) string {
	var sources []string
	for _, l := range at.PrefixLists() {
		for _, e := range l.Entries {
			if l.ID == id {
				sources = append(sources, e.Prefix.String())
			}
		}
	}
	g, _ := at.Group(id)
	for _, r := range g.Ingress {
		sources = append(sources, r.Source.String())
	}
	return strings.Join(sources, " ")
}

// calls returns how often each action was called, and forgets the calls.
func (s *scene) calls() map[string]int {
	n := map[string]int{}
	for _, c := range s.sim.ResetCalls() {
		if n[c.Action]++; c.Mutating {
			n["mutating"]++
		}
	}
	return n
}

// transport answers every request with a document.
type transport func() string

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) {
	body := io.NopCloser(strings.NewReader(f()))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body, Request: req}, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// slow makes the answers to an action take that long.
func slow(action string, delay time.Duration) ec2sim.Fault {
	return ec2sim.Fault{Kind: ec2sim.Slow, Action: action, Count: ec2sim.Forever, Delay: delay}
}

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

func setOf(prefixes []netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		b.AddPrefix(p)
	}
	set, _ := b.IPSet()
	return set
}

// parts cuts a prefix into its subnets of a length.
func parts(prefix string, bits int) []netip.Prefix {
	p := netip.MustParsePrefix(prefix)
	var out []netip.Prefix
	for a := p.Addr(); p.Contains(a); a = netipx.PrefixLastIP(out[len(out)-1]).Next() {
		out = append(out, netip.PrefixFrom(a, bits))
	}
	return out
}

// spread returns n ranges that do not merge: every other /20.
func spread(n int) (out []netip.Prefix) {
	for i, p := range parts("52.0.0.0/8", 20)[:2*n] {
		if i%2 == 0 {
			out = append(out, p)
		}
	}
	return out
}
