package doctor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// patient are settings under which nothing times out on a busy machine; a test lowers the one that it is about.
var patient = Settings{ConnectionTimeout: 10 * second, ConnectionAttempts: 3, ResponseTimeout: 10 * second, KeepAliveTimeout: 50 * millisecond}

// name is what the origins of the tests are called. It leads to a public address, behind which is what the test listens
// with.
const name = "origin.example.com"

var public = netip.MustParseAddr("52.95.128.10")

// A site is the internet of a test: which addresses a name has, and who listens where.
type site struct {
	t         *testing.T
	addresses []netip.Addr
	listeners map[netip.Addr]string // by public address; others refuse
	options   Options
}

// newSite returns one on which the origin's name leads to a local listener.
func newSite(t *testing.T, listener string) *site {
	t.Helper()
	return &site{
		t: t, addresses: []netip.Addr{public}, listeners: map[netip.Addr]string{public: listener},
		options: Options{Settings: patient},
	}
}

func parsed(texts []string) (addresses []netip.Addr) {
	for _, text := range texts {
		addresses = append(addresses, netip.MustParseAddr(text))
	}
	return addresses
}

// examine runs all steps, and checks that the report is as documented.
func (s *site) examine(ctx context.Context, url string) *Report {
	s.t.Helper()
	var err error
	if s.options.Origin, err = ParseOrigin(url); err != nil {
		s.t.Fatal(err)
	}
	s.options.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
		if s.addresses == nil {
			return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}
		return slices.Clone(s.addresses), nil
	}
	if s.options.dial == nil {
		s.options.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			to := netip.MustParseAddrPort(address)
			if to.Port() != s.options.Origin.Port {
				return nil, &net.OpError{Op: "dial", Err: errors.New("not in this test")}
			}
			return new(net.Dialer).DialContext(ctx, network, cmp.Or(s.listeners[to.Addr()], "127.0.0.1:1"))
		}
	}
	report := Run(ctx, s.options)
	isDocumented(s.t, report)
	return report
}

// isDocumented checks a report against its schema.
func isDocumented(t *testing.T, report *Report) {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile("../../docs/schema/doctor.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	added := map[string]any{"mark": "ok", "cause": "", "next": []any{}, "openToWorld": []any{}} // by cfsg
	maps.Copy(document.(map[string]any), added)
	if err := schema.Validate(document); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// codes returns what was found, and how bad it is, in order.
func codes(report *Report) string {
	var words []string
	for _, s := range report.Steps {
		for _, f := range s.Findings {
			words = append(words, s.Name+":"+f.Code+":"+string(f.Verdict))
		}
	}
	return strings.Join(words, " ")
}

func step(t *testing.T, report *Report, name string) Step {
	t.Helper()
	for _, s := range report.Steps {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no step %s", name)
	return Step{}
}

// wants checks what was found, and what is said of the causes that AWS names.
func wants(t *testing.T, report *Report, want string) {
	t.Helper()
	if got := codes(report); got != want {
		text, _ := json.MarshalIndent(report.Steps, "", "  ")
		t.Errorf("found %q, want %q\n%s", got, want, text)
	}
	for _, s := range report.Steps {
		for _, f := range s.Findings {
			checkCause(t, f)
		}
	}
}

func TestHealthy(t *testing.T) {
	authority := newAuthority(t)
	server := serveTLS(t, answering(200, "hello"), authority.chain(t, template(name)), nil)
	s := newSite(t, server)
	s.options.roots = authority.roots()
	var seen []string
	s.options.Stepped = func(s Step) { seen = append(seen, s.Name) }
	s.options.Groups = func(_ context.Context, known *Report) Step {
		return Step{Verdict: OK, Summary: known.Addresses[0].IP.String()}
	}
	report := s.examine(t.Context(), "https://"+name+":443/")
	wants(t, report, "")
	if report.Verdict != OK || report.Interrupted || len(report.StepsWith(Fail)) > 0 {
		t.Errorf("verdict %s, failed %v", report.Verdict, report.StepsWith(Fail))
	}
	if got, want := strings.Join(seen, " "), "name groups connect tls answer auth timing load keep-alive"; got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
	for _, step := range report.Steps {
		if want := map[bool]Verdict{true: Skipped, false: OK}[step.Name == "load" || step.Name == "auth"]; step.Verdict != want {
			t.Errorf("%s: %s, want %s", step.Name, step.Verdict, want)
		}
	}
	if got := step(t, report, "groups").Summary; got != public.String() {
		t.Errorf("a check is told of %q, want %s", got, public)
	}
	if timing := report.Timing; timing.Completed != fewRequests || timing.Connections != fewRequests || timing.TLS == nil || timing.Statuses[200] != fewRequests {
		t.Errorf("timing: %+v", timing)
	}
	if a := report.Answers[0]; a.Status != 200 || a.BodyBytes != 5 || !a.Complete {
		t.Errorf("answer: %+v", a)
	}
	if h := report.TLS[0]; h.Version != "TLS 1.3" || h.Certificate.Names[0] != name || h.Certificate.Chain != 2 {
		t.Errorf("handshake: %+v", h)
	}
	if k := report.KeepAlive; !k.Kept || k.ClosedAfter != nil {
		t.Errorf("keep-alive: %+v", k)
	}
}

func TestName(t *testing.T) {
	const (
		loopback = "127.0.0.1"
		private  = "10.1.2.3"
		ipv6     = "2600:1f18::10"
	)
	server := serve(t, answering(200, "hello"))
	for _, c := range []struct {
		name, url string
		addresses []string
		want      string
		message   string
	}{
		{"no such host", "", nil, "name:name-not-resolved:fail", "does not resolve: no such host"},
		{"private", "", []string{private}, "name:address-not-public:fail", "private use, RFC 1918"},
		{"one of two is private", "", []string{private, public.String()}, "name:address-not-public:fail", "10.1.2.3: not a public"},
		{"private IPv6 beside IPv4", "", []string{"fd00::1", public.String()}, "name:address-not-public:warn", "unique local, RFC 4193"},
		{"IPv6 only", "", []string{ipv6}, "name:ipv6-only:warn", "has no IPv4 address"},
		{"both, twice, mapped", "", []string{ipv6, "::ffff:" + public.String(), public.String()}, "", ""},
		{"an address", "http://" + public.String() + ":80/", nil, "name:ip-literal:warn", "accepts only a DNS name"},
		{"loopback", "http://" + loopback + ":80/", nil, "name:ip-literal:warn name:address-not-public:fail", "loopback, RFC 1122"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, server)
			s.addresses = parsed(c.addresses)
			for _, a := range append(c.addresses, loopback) {
				s.listeners[netip.MustParseAddr(a)] = server
			}
			report := s.examine(t.Context(), cmp.Or(c.url, "http://"+name+":80/"))
			wants(t, report, c.want)
			findings := step(t, report, "name").Findings
			if c.want != "" && !strings.Contains(findings[len(findings)-1].Message, c.message) {
				t.Errorf("says %q, want %q", findings[len(findings)-1].Message, c.message)
			}
			// The walk goes on wherever there is an address.
			if answered := len(report.Answers) > 0; answered != (c.addresses != nil || c.url != "") {
				t.Errorf("answers: %+v", report.Answers)
			}
		})
	}
}

// A name that does not exist is told from a resolver that does not answer.
func TestUnresolved(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "name-not-resolved 502"},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, "name-not-resolved 502"},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, "name-lookup-failed 0"},
		{context.DeadlineExceeded, "name-lookup-failed 0"},
	} {
		f := unresolved(name, c.err)
		if got := fmt.Sprint(f.Code, " ", f.CloudFrontStatus); got != c.want || f.Verdict != Fail {
			t.Errorf("%v: %+v, want %s", c.err, f, c.want)
		}
	}
}

// Of a name with very many addresses, a few are looked at.
func TestManyAddresses(t *testing.T) {
	s := newSite(t, serve(t, answering(200, "hello")))
	for range 40 {
		s.addresses = append(s.addresses, s.addresses[len(s.addresses)-1].Next())
	}
	report := s.examine(t.Context(), "http://"+name+":80/")
	if n := len(report.Connections); n != maxAddresses {
		t.Errorf("%d connections, want %d", n, maxAddresses)
	}
	wants(t, report, "name:many-addresses:warn connect:connect-refused:fail")
}
