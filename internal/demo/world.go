package demo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/function"
	"cloudfront-sg-sync/internal/ipspace"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"go4.org/netipx"
)

// region is where the function and its groups are.
const region = "us-east-1"

// A world surrounds the function: an EC2 endpoint, a feed, and a witness of its calls.
type world struct {
	endpoint *ec2sim.Server
	groups   ec2sim.Region
	witness  witness
	feed     atomic.Pointer[document] // the last one that AWS has published
	handler  *function.Handler
	close    func()
	calls    int // that the function has made about groups
}

func newWorld(log *slog.Logger) (*world, error) {
	w := &world{endpoint: ec2sim.New(ec2sim.Options{}), witness: witness{open: ipspace.Of(nil), wanted: ipspace.Of(nil)}}
	w.groups = w.endpoint.Region("", region)
	w.endpoint.Observe(func(c ec2sim.Change) {
		groups, _ := c.All()
		w.witness.see(c.Call, groups)
	})
	feed := httptest.NewServer(http.HandlerFunc(w.serveFeed))
	w.close = feed.Close
	// Only what differs from a deployed function, whose environment is empty.
	environment := map[string]string{"IP_RANGES_URL": feed.URL + "/ip-ranges.json", "METRICS_NAMESPACE": "none"}
	config, err := config.FromEnv(func(name string) string { return environment[name] })
	if err == nil {
		w.handler, err = function.New(config, aws.Config{
			Region:       region,
			Credentials:  credentials.NewStaticCredentialsProvider("demo", "demo", ""),
			BaseEndpoint: aws.String("http://ec2.demo"), // which RoundTrip answers, without a network
			HTTPClient:   &http.Client{Transport: w.endpoint},
		}, log)
	}
	if err != nil {
		w.close()
	}
	return w, err
}

// serveFeed serves the last document to clients that may have it already.
func (w *world) serveFeed(out http.ResponseWriter, r *http.Request) {
	d := w.feed.Load()
	out.Header().Set("ETag", fmt.Sprintf(`"%x"`, d.MD5)) // as S3 has it
	http.ServeContent(out, r, "ip-ranges.json", time.Time{}, bytes.NewReader(d.bytes))
}

// A run is one invocation of the function: its answer, and the calls about groups that the endpoint has seen, by name
// and as the page shows them.
type run struct {
	engine.Report
	calls, shown []string
}

// invoke has Lambda hand an event to the function.
func (w *world) invoke(ctx context.Context, event []byte) (r run, err error) {
	w.endpoint.ResetCalls()
	answer, err := w.handler.Invoke(ctx, event)
	if err != nil {
		return r, err
	}
	// Beside the groups it looks for prefix lists and for its account's ID. There are no lists: the story is about groups.
	others := []string{"DescribeManagedPrefixLists", "GetCallerIdentity"}
	for _, c := range w.endpoint.ResetCalls() {
		if slices.Contains(others, c.Action) {
			continue
		}
		name := cmp.Or(callNames[c.Action], c.Action)
		r.calls = append(r.calls, name)
		if c.Rules > 0 {
			g, _ := w.groups.Group(c.Resource)
			name += fmt.Sprintf(" %d in %s", c.Rules, g.Name)
		}
		r.shown = append(r.shown, name)
	}
	w.calls += len(r.calls)
	err = json.Unmarshal(answer, &r.Report)
	return r, err
}

// list returns the groups of some pools.
func (w *world) list(pools ...string) []ec2sim.Group {
	return slices.DeleteFunc(w.groups.Groups(), func(g ec2sim.Group) bool {
		return !slices.ContainsFunc(pools, func(pool string) bool { return strings.HasPrefix(g.Name, pool+"-") })
	})
}

// foreignRules returns the rules of all groups that are not the function's.
func (w *world) foreignRules() (rules []ec2sim.Rule) {
	for _, g := range w.list(webPool, apiPool) {
		rules = append(rules, slices.DeleteFunc(slices.Clone(g.Ingress), owned)...)
	}
	return rules
}

// owned reports whether a rule says that it is the function's.
func owned(r ec2sim.Rule) bool { return strings.HasPrefix(r.Description, tagPorts+":") }

// A witness sees the groups between any two calls, and objects to a call that closes an address CloudFront still uses.
// The endpoint's lock guards it: [ec2sim.Server.Observe].
type witness struct {
	open    *netipx.IPSet // on the port of the pool
	wanted  *netipx.IPSet // as published last
	changes int           // that calls have made
	gap     error         // the first
}

// see compares the groups after a call with those before.
func (w *witness) see(call ec2sim.Call, groups map[string]ec2sim.Group) {
	var ranges []netip.Prefix
	for _, g := range groups {
		for _, r := range g.Ingress {
			if g.Tags[tagPool] == webPool && r.Protocol == "tcp" && r.From <= webPort && webPort <= r.To && r.Source.Prefix.IsValid() {
				ranges = append(ranges, r.Source.Prefix)
			}
		}
	}
	before := w.open
	w.open = ipspace.Of(ranges)
	if call.Seq == 0 {
		return // a change by hand
	}
	w.changes++
	lost := ipspace.Common(ipspace.Minus(before, w.open), w.wanted).Prefixes()
	if len(lost) > 0 && w.gap == nil {
		w.gap = fmt.Errorf("call %d, %s of %s, closed %v, which is still in use", call.Seq, call.Action, call.Resource, lost)
	}
}

// verdict returns an error if a call closed an address, or if one that is wanted is not open now.
func (w *witness) verdict() error {
	if closed := ipspace.Minus(w.wanted, w.open).Prefixes(); w.gap == nil && len(closed) > 0 {
		return fmt.Errorf("%v should be open, and is not", closed)
	}
	return w.gap
}
