package secgroup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

const testKey = "cloudfront-ingress"

var (
	tcp443  = PortRange{443, 443}
	compare = cmp.Options{
		cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(InterfacePlan{}),
	}
	testStamp = stampOf("CLOUDFRONT", 0)
	// olderStamp is what rules say that an earlier run has made.
	olderStamp = stampOf("CLOUDFRONT", -48)
)

// stampOf returns the stamp of a file that is published some hours after that of testStamp.
func stampOf(service string, hours int) Stamp {
	published := time.Date(2026, 8, 22, 15+hours, 17, 5, 0, time.UTC)
	return Stamp{TagKey: testKey, Services: []string{service}, Published: published}
}

// prefixes parses CIDRs.
func prefixes(cidrs ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, cidr := range cidrs {
		out = append(out, netip.MustParsePrefix(cidr))
	}
	return out
}

// cut returns n neighbouring prefixes of the same length, and apart n that have a gap of that size between them.
func cut(first string, n int) []netip.Prefix { return every(1, first, n) }

func apart(first string, n int) []netip.Prefix { return every(2, first, n) }

func every(step int, first string, n int) (all []netip.Prefix) {
	p := netip.MustParsePrefix(first)
	for a := p.Addr().As4(); n > 0; n-- {
		all = append(all, netip.PrefixFrom(netip.AddrFrom4(a), p.Bits()))
		binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+uint32(step)<<(32-p.Bits()))
	}
	return all
}

// tcp returns what identifies a TCP rule.
func tcp(ports PortRange, cidr string) RuleID {
	return RuleID{"tcp", int32(ports.From), int32(ports.To), Source{Prefix: netip.MustParsePrefix(cidr)}}
}

// group returns a group with the tags, given as the ports and then, each optional, "pool=NAME" and "mode=MODE".
func group(id, ports string, options []string, rules ...[]Rule) Group {
	tags := map[string]string{testKey: ports}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		tags[testKey+"-"+name] = value
	}
	return Group{ID: id, Name: "web", VPC: "vpc-1", Tags: tags, Ingress: slices.Concat(rules...)}
}

// pooled returns groups of a pool, with these ports.
func pooled(ports ...string) (groups []Group) {
	for i, p := range ports {
		groups = append(groups, group(fmt.Sprintf("sg-%d", i), p, []string{"pool=web"}))
	}
	return groups
}

// list returns an IPv4 list.
func list(value string, size int, entries ...[]Rule) Holder {
	tags := map[string]string{testKey: value}
	return Holder{Kind: ManagedPrefixList, ID: "pl-1", Tags: tags, MaxEntries: size, Ingress: slices.Concat(entries...)}
}

// entries returns the entries of a list.
func entries(description string, prefixes ...netip.Prefix) (rules []Rule) {
	for _, p := range prefixes {
		rules = append(rules, Rule{RuleID: RuleID{Source: Source{Prefix: p}}, Description: description})
	}
	return rules
}

// rulesFor returns TCP rules for ports such as "443" or "80-81".
func rulesFor(description, ports string, cidrs ...string) (rules []Rule) {
	parsed, err := ParsePorts(ports)
	if err != nil {
		panic(err)
	}
	for _, cidr := range cidrs {
		rules = append(rules, Rule{RuleID: tcp(parsed[0], cidr), Description: description})
	}
	return rules
}

// ours returns rules that an earlier run has made, theirs rules of others.
func ours(ports string, cidrs ...string) []Rule {
	return rulesFor(olderStamp.String(), ports, cidrs...)
}

func theirs(ports string, cidrs ...string) []Rule { return rulesFor("office", ports, cidrs...) }

// newPlan plans with a quota of 60, for the publication of testStamp.
func newPlan(t rapid.TB, holders []Holder, ranges []netip.Prefix, change func(*Request)) *Plan {
	t.Helper()
	req := Request{Stamp: testStamp, Ranges: ranges, RulesPerGroup: 60, MaxRevokePercent: 50}
	if change != nil {
		change(&req)
	}
	if !slices.IsSortedFunc(ranges, netip.Prefix.Compare) {
		t.Fatal("the test's ranges are not sorted")
	}
	return mustPlan(t, holders, req)
}

func mustPlan(t rapid.TB, holders []Holder, req Request) *Plan {
	t.Helper()
	plan, err := NewPlan(context.Background(), holders, req)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// steps writes the steps of a plan a line each, such as
//
//	revoke sg-1: 443 13.32.0.0/15, 443 13.34.0.0/15 (gap: 13.32.0.0/15)
func steps(plan *Plan) []string {
	var lines []string
	for _, sequence := range plan.Sequences {
		for _, s := range sequence.Steps {
			var rules []string
			for _, r := range s.Rules() {
				rules = append(rules, fmt.Sprintf("%s %s", r.Ports(), r.Source))
			}
			line := fmt.Sprintf("%v %s: %s", s.Operation(), s.HolderID, strings.Join(rules, ", "))
			if len(s.Gap) > 0 {
				line += fmt.Sprintf(" (gap: %s)", strings.Trim(fmt.Sprint(s.Gap), "[]"))
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func checkSteps(t *testing.T, plan *Plan, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, steps(plan), compare); diff != "" {
		t.Errorf("steps: -want +got\n%s", diff)
	}
}

// take returns the holders as they are once all steps of a plan are taken.
func take(t rapid.TB, plan *Plan) []Holder {
	t.Helper()
	m := newModel(t, 1000, nil)
	for _, pool := range plan.Pools {
		for _, h := range pool.Holders {
			holder := *h.Holder
			holder.Ingress = slices.Clone(holder.Ingress)
			m.groups[h.ID] = &holder
		}
		for _, s := range pool.Steps {
			m.run(s)
		}
	}
	return m.list()
}

// Failures returns everything that keeps the plan from being whole, joined, in order: of its pools, of its holders.
func (plan *Plan) Failures() error {
	var errs []error
	for _, pool := range plan.Pools {
		errs = append(errs, pool.Err)
		for _, g := range pool.Holders {
			if g.Problem != nil {
				errs = append(errs, fmt.Errorf("%s: %w", g.ID, g.Problem))
			}
		}
	}
	return errors.Join(errs...)
}

// checkError fails unless err holds all the words.
func checkError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q, want one with %q", err, word)
		}
	}
}

// isA reports whether an error is, or wraps, one of a type.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// newSim returns the embedded EC2 endpoint, and a client of the real SDK that calls it.
func newSim(o ec2sim.Options) (*ec2sim.Server, ec2sim.Region, *ec2.Client) {
	sim := ec2sim.New(o)
	return sim, sim.Region("", "us-east-1"), ec2.New(ec2.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1"),
		HTTPClient:  &http.Client{Transport: sim},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = 2, time.Microsecond
		}),
	})
}
