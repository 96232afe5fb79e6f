// Package demo shows the function at work: its real handler goes through an eventful life on an embedded EC2 endpoint
// and a local feed, and the demo prints and verifies each step. It needs no AWS account and no network.
package demo

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/page"
)

// sample is an invented document in the schema of ip-ranges.json.
//
//go:embed ip-ranges.json
var sample []byte

// Options say which document a demo runs on, and where it is shown.
type Options struct {
	Document []byte // an ip-ranges.json; the built-in sample if nil
	Out      io.Writer
	Color    bool
	Log      *slog.Logger // the function's log; it is discarded if nil
}

// Run shows the demo. It fails at the first thing that does not turn out as the demo tells it: every number shown comes
// from the function's answer or from the endpoint.
func Run(ctx context.Context, o Options) error {
	s, err := newStory(o)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.play(ctx); err != nil {
		return fmt.Errorf("the demo did not turn out as it should; nothing outside this process was touched: %w", err)
	}
	return s.page.Err()
}

// newStory prepares the world and the two documents of a story.
func newStory(o Options) (*story, error) {
	if o.Document == nil {
		o.Document = sample
	}
	original, err := parseDocument(o.Document)
	if err != nil {
		return nil, err
	}
	revised, change, err := original.revise()
	if err != nil {
		return nil, err
	}
	w, err := newWorld(cmp.Or(o.Log, slog.New(slog.DiscardHandler)))
	return &story{world: w, page: page.New(o.Out, o.Color), original: original, revised: revised, change: change}, err
}

// The tags of the groups, as the function's defaults have them.
const (
	tagPorts = "cloudfront-ingress"
	tagPool  = tagPorts + "-pool"

	webPool, webPort = "web", 443
	apiPool, apiPort = "api", 8443
)

// Rules that others have made. The function must not change them.
var (
	officeRule  = ec2sim.Rule{Permission: ec2sim.TCP(22, 22, netip.MustParsePrefix("10.0.0.0/8")), Description: "office vpn"}
	partnerRule = ec2sim.Rule{Permission: ec2sim.TCP(apiPort, apiPort, netip.MustParsePrefix("10.20.0.0/16")), Description: "internal clients"}
)

// callNames are the calls the function makes, as the story tells them.
var callNames = map[string]string{
	"DescribeSecurityGroups": "describe groups", "GetServiceQuota": "get quota",
	"DescribeNetworkInterfaces":     "look at interfaces", // before anything is revoked
	"AuthorizeSecurityGroupIngress": "authorize", "RevokeSecurityGroupIngress": "revoke",
}

// replacing are the calls that replace a rule.
var replacing = []string{"describe groups", "look at interfaces", "authorize", "revoke"}

// A story is the demo's: its steps, and how the function reacts to each.
type story struct {
	*world
	page              *page.Page
	steps             int // so far
	original, revised *document
	change            revision
	foreign           []ec2sim.Rule // of the groups at the start
}

func (s *story) play(ctx context.Context) error {
	s.page.Line(s.page.Strong("cloudfront-sg-sync"), ": the real function, with an EC2 endpoint and a feed of ranges in this process.")
	for _, step := range []func(context.Context) error{s.tagging, s.publications, s.repair, s.dryRun} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.page.Line()
	s.page.Line(s.page.Good("✓"), fmt.Sprintf("  %d calls about groups, %d changed rules. None closed an address in use, not even for one call.", s.calls, s.witness.changes))
	s.page.Line("   ", s.page.Quiet("Next: deploy the function and tag a group, see README.md."))
	return nil
}

// tagging is the first step: nothing happens yet.
func (s *story) tagging(context.Context) error {
	// As many groups as hold the rules of the document for one port beside a foreign rule, with room to add a range
	// before another goes.
	const quota, others = ec2sim.DefaultRulesPerGroup, 2
	n := max(2, (max(len(s.original.IPv4), len(s.original.IPv6))+others+quota-1)/quota)
	for _, g := range []ec2sim.Group{
		{Name: webPool, Tags: tagsOf(webPool, webPort), Ingress: []ec2sim.Rule{officeRule}},
		{Name: apiPool, Ingress: []ec2sim.Rule{partnerRule}},
	} {
		pool := g.Name
		for i := range n {
			g.Name, g.VPC = fmt.Sprintf("%s-%d", pool, i+1), s.groups.OtherVPC()
			if _, err := s.groups.CreateGroup(g); err != nil {
				return err
			}
			g.Ingress = nil
		}
	}
	s.foreign = s.foreignRules()
	s.step("You tag the security groups of an origin", fmt.Sprintf("%s get the tags %s=%d and %s=%s: one pool, which shares "+
		"its rules. web-1 also has a rule of the office, for SSH. %s are not tagged. Nothing happens yet.",
		s.names(webPool), tagPorts, webPort, tagPool, webPool, s.names(apiPool)))
	s.showGroups(s.list(webPool, apiPool), run{})
	return nil
}

// publications are those of AWS, and how the function takes them.
func (s *story) publications(ctx context.Context) error {
	d := s.original
	for _, c := range []chapter{{
		headline: fmt.Sprintf("AWS publishes its ranges of %s and notifies the function", d.Published.Format(time.RFC3339)),
		text: fmt.Sprintf("%d ranges of CloudFront, merged without loss to %d IPv4 and %d IPv6 rules. A group may hold %d of each, "+
			"so the pool shares them.", len(d.Prefixes), len(d.IPv4), len(d.IPv6), ec2sim.DefaultRulesPerGroup),
		published: d, pool: webPool, added: len(d.Merged()),
	}, {
		headline: fmt.Sprintf("AWS publishes a change: %s is new, %s is gone", s.change.added, s.change.withdrawn),
		text: fmt.Sprintf("The new range is authorized before the old one is revoked. And %s now comes as two halves: the same "+
			"addresses, so its rule stays.", s.change.recut),
		published: s.revised, pool: webPool, added: 1, revoked: 1, calls: replacing,
	}, {
		headline:  "SNS delivers the same notification a second time",
		text:      "The file has not changed, and the groups are right: one call is all it takes.",
		published: s.revised, calls: []string{"describe groups"},
	}} {
		if err := s.act(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// repair is a person who loses one of the function's rules, and leaves one that looks like it.
func (s *story) repair(ctx context.Context) error {
	groups := s.list(webPool)
	g := groups[slices.IndexFunc(groups, func(g ec2sim.Group) bool { return slices.ContainsFunc(g.Ingress, owned) })]
	lost := g.Ingress[slices.IndexFunc(g.Ingress, owned)]
	strayRange := netip.MustParsePrefix("198.51.100.0/24") // for documentation, RFC 5737: AWS never publishes it
	stray := ec2sim.Rule{Permission: ec2sim.TCP(webPort, webPort, strayRange), Description: lost.Description}
	return cmp.Or(s.groups.RemoveRules(g.ID, lost.Permission), s.groups.AddRules(g.ID, stray), s.act(ctx, chapter{
		headline: fmt.Sprintf("Someone edits %s by hand", g.Name),
		text: fmt.Sprintf("The rule of %s is lost, and one of %s left behind. A manual run, {}, repairs both, and leaves the rule "+
			"of the office alone.", lost.Source, strayRange),
		event: `{}`, pool: webPool, added: 1, revoked: 1, calls: replacing,
	}))
}

// dryRun shows what the function would do for the other pool.
func (s *story) dryRun(ctx context.Context) error {
	for _, g := range s.list(apiPool) {
		if err := s.groups.SetTags(g.ID, tagsOf(apiPool, apiPort)); err != nil {
			return err
		}
	}
	return s.act(ctx, chapter{
		headline: fmt.Sprintf("You tag %s with port %d, and start with a dry run", s.names(apiPool), apiPort),
		text:     `{"dryRun":true} says what a run would do and changes nothing.`,
		event:    `{"dryRun":true}`, pool: apiPool, added: len(s.revised.Merged()), calls: []string{"describe groups"},
	})
}

// A chapter is a step in which the function works, with the effects that the demo announces.
type chapter struct {
	headline, text string
	published      *document // the document that the function is notified of, nil for a manual event
	event          string
	pool           string // whose groups to show, empty for none
	added, revoked int
	calls          []string // nil for the first run: one for each group
}

// act lets the function work, tells what happened, and verifies it all.
func (s *story) act(ctx context.Context, c chapter) error {
	if c.published != nil {
		s.feed.Store(c.published)
		s.witness.wanted = ipspace.Of(c.published.Prefixes)
		c.event = c.published.notification()
	}
	r, err := s.invoke(ctx, []byte(c.event))
	if err != nil {
		return fmt.Errorf("the function: %w", err)
	}
	s.step(c.headline, c.text)
	s.showRun(r)
	s.showGroups(s.list(c.pool), r)
	if err := s.verify(r, c); err != nil {
		return fmt.Errorf("step %d: %w", s.steps, err)
	}
	return s.witness.verdict()
}

// verify compares a run and its effects with what they should be: the answer, the calls, the rules of the pool, and the
// foreign rules.
func (s *story) verify(r run, want chapter) error {
	if want.calls == nil {
		want.calls = append([]string{"describe groups", "get quota"}, slices.Repeat([]string{"authorize"}, r.Summary.Changed)...)
	}
	rules := 0 // of the function; the witness sees what they open
	for _, g := range s.list(webPool) {
		rules += count(g, owned)
	}
	switch wanted := len(s.feed.Load().Merged()); {
	case r.Summary.Added != want.added || r.Summary.Revoked != want.revoked:
		return fmt.Errorf("%d rules were added and %d revoked, instead of %d and %d", r.Summary.Added, r.Summary.Revoked, want.added, want.revoked)
	case !slices.Equal(r.calls, want.calls):
		return fmt.Errorf("the function called %v instead of %v", r.calls, want.calls)
	case rules != wanted:
		return fmt.Errorf("there are %d rules instead of %d", rules, wanted)
	case !slices.Equal(s.foreign, s.foreignRules()):
		return errors.New("a rule that is not the function's was changed")
	}
	return nil
}

// step begins the next step with what happens in the world.
func (s *story) step(headline, text string) {
	s.steps++
	s.page.Line()
	s.page.Marked(s.page.Strong(fmt.Sprintf("%-2d", s.steps)), s.page.Strong(headline))
	s.page.In(3).Say("%s", text)
}

// showRun shows the calls a run has made, and what became of the rules.
func (s *story) showRun(r run) {
	format, kept := "%d added, %d revoked, %d kept", 0
	if r.DryRun {
		format = "%d to add, %d to revoke, %d to keep"
	}
	for _, g := range r.Groups {
		kept += g.Kept
	}
	const labels = 7 // how wide they are
	s.page.In(3).Fact("calls", labels, " → ", r.shown...)
	s.page.In(3).Fact("rules", labels, "", fmt.Sprintf(format, r.Summary.Added, r.Summary.Revoked, kept))
}

// showGroups shows groups as they are, and what a run has changed of each, or would have.
func (s *story) showGroups(groups []ec2sim.Group, r run) {
	header := []string{"group", "ports", "IPv4 rules", "IPv6 rules", "foreign", "change"}
	if r.DryRun {
		header[5] = "would change"
	}
	changes := map[string]string{}
	for _, g := range r.Groups {
		signs := fmt.Sprintf(" +%d -%d", g.Added, g.Revoked)
		changes[g.GroupID] = strings.TrimSpace(strings.NewReplacer(" +0", "", " -0", "").Replace(signs))
	}
	var rows [][]string
	for _, g := range groups {
		ofQuota := func(of func(netip.Addr) bool) string {
			return fmt.Sprintf("%2d of %d", count(g, func(r ec2sim.Rule) bool { return of(r.Source.Prefix.Addr()) }), ec2sim.DefaultRulesPerGroup)
		}
		ports := cmp.Or(g.Tags[tagPorts], "not tagged")
		rows = append(rows, page.Row(g.Name, ports, ofQuota(netip.Addr.Is4), ofQuota(netip.Addr.Is6), len(g.Ingress)-count(g, owned), changes[g.ID]))
	}
	s.page.In(3).Section(header, rows)
}

func count(g ec2sim.Group, of func(ec2sim.Rule) bool) (n int) {
	for _, r := range g.Ingress {
		if of(r) {
			n++
		}
	}
	return n
}

func tagsOf(pool string, port int) map[string]string {
	return map[string]string{tagPorts: fmt.Sprint(port), tagPool: pool}
}

// names enumerates the groups of a pool.
func (s *story) names(pool string) string {
	n, between := len(s.list(pool)), "to"
	if n == 2 {
		between = "and"
	}
	return fmt.Sprintf("%s-1 %s %s-%d", pool, between, pool, n)
}
