package demo

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/page"
)

// The tags of the groups, as the function's defaults have them.
const (
	tagPorts = "cloudfront-ingress"
	tagPool  = tagPorts + "-pool"

	webPool, webPort = "web", 443
	apiPool, apiPort = "api", 8443
)

// The rules that others have made, which the function must leave alone.
var (
	officeRule  = ec2sim.Rule{Permission: ec2sim.TCP(22, 22, netip.MustParsePrefix("10.0.0.0/8")), Description: "office vpn"}
	partnerRule = ec2sim.Rule{Permission: ec2sim.TCP(apiPort, apiPort, netip.MustParsePrefix("10.20.0.0/16")), Description: "internal clients"}
)

// strayRange is one for documentation, RFC 5737, which AWS never publishes.
var strayRange = netip.MustParsePrefix("198.51.100.0/24")

// The calls the function makes, and how the story tells them.
const (
	describe  = "DescribeSecurityGroups"
	getQuota  = "GetServiceQuota"
	authorize = "AuthorizeSecurityGroupIngress"
	look      = "DescribeNetworkInterfaces" // before anything is revoked
	revoke    = "RevokeSecurityGroupIngress"
)

var callNames = map[string]string{
	describe: "describe groups", look: "look at interfaces", getQuota: "get quota", authorize: "authorize %d in %s", revoke: "revoke %d in %s",
}

// A story is the demo's: what happens, step by step, and what the function makes of it.
type story struct {
	*world
	page              *page.Page
	steps             int // told so far
	original, revised *document
	change            revision
	foreign           map[string]string // rules that the groups had at the start
}

func (s *story) play(ctx context.Context) error {
	s.page.Line(s.page.Strong("cloudfront-sg-sync"), ": the real function, with an EC2 endpoint and a feed of ranges in this process.")
	for _, step := range []func(context.Context) error{
		s.tagging, s.firstNotification, s.publishedChange, s.repeatedNotification, s.repair, s.dryRun, s.closing,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tagging is step 1.
func (s *story) tagging(context.Context) error {
	n := groupsNeeded(s.original)
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
	s.foreign = s.rules(foreign)
	s.step("You tag the security groups of an origin", fmt.Sprintf("%s get the tags %s=%d and %s=%s: one pool, which shares "+
		"its rules. web-1 also has a rule of the office, for SSH. %s are not tagged. Nothing happens yet.",
		enumerate(webPool, n), tagPorts, webPort, tagPool, webPool, enumerate(apiPool, n)))
	s.showGroups(s.list(webPool, apiPool), nil)
	return nil
}

// firstNotification is step 2.
func (s *story) firstNotification(ctx context.Context) error {
	ipv4, ipv6 := s.original.rules()
	return s.act(ctx, s.original, "", webPool, expectation{added: ipv4 + ipv6, feed: http.StatusOK},
		fmt.Sprintf("AWS publishes its ranges of %s and notifies the function", s.original.publication.Published.Format(time.RFC3339)),
		"%d ranges of CloudFront, merged without loss to %d IPv4 and %d IPv6 rules. A group may hold %d of each, so the pool "+
			"shares them.", len(s.original.publication.Prefixes), ipv4, ipv6, ec2sim.DefaultRulesPerGroup)
}

// publishedChange is step 3.
func (s *story) publishedChange(ctx context.Context) error {
	return s.act(ctx, s.revised, "", webPool,
		expectation{added: 1, revoked: 1, calls: []string{describe, look, authorize, revoke}, feed: http.StatusOK},
		fmt.Sprintf("AWS publishes a change: %s is new, %s is gone", s.change.added, s.change.withdrawn),
		"The new range is authorized before the old one is revoked. And %s now comes as two halves: the same addresses, so "+
			"its rule stays.", s.change.recut)
}

// repeatedNotification is step 4.
func (s *story) repeatedNotification(ctx context.Context) error {
	return s.act(ctx, s.revised, "", "", expectation{calls: []string{describe}, feed: http.StatusNotModified},
		"SNS delivers the same notification a second time", "The file has not changed, and the groups are right: one look is all it takes.")
}

// repair is step 5: a person loses one of the function's rules, and leaves one that looks like it.
func (s *story) repair(ctx context.Context) error {
	g, lost := s.firstOwned()
	stray := ec2sim.Rule{Permission: ec2sim.TCP(webPort, webPort, strayRange), Description: lost.Description}
	if err := cmp.Or(s.groups.RemoveRules(g.ID, lost.Permission), s.groups.AddRules(g.ID, stray)); err != nil {
		return err
	}
	return s.act(ctx, nil, "{}", webPool,
		expectation{added: 1, revoked: 1, calls: []string{describe, look, authorize, revoke}, feed: http.StatusNotModified},
		fmt.Sprintf("Someone edits %s by hand", g.Name), "The rule of %s is lost, and one of %s left behind. A manual run, {}, "+
			"repairs both, and leaves the rule of the office alone.", lost.Source, strayRange)
}

// firstOwned returns the first of the function's rules, and its group.
func (s *story) firstOwned() (ec2sim.Group, ec2sim.Rule) {
	for _, g := range s.list(webPool) {
		if i := slices.IndexFunc(g.Ingress, owned); i >= 0 {
			return g, g.Ingress[i]
		}
	}
	return ec2sim.Group{}, ec2sim.Rule{}
}

// dryRun is step 6.
func (s *story) dryRun(ctx context.Context) error {
	groups := s.list(apiPool)
	for _, g := range groups {
		if err := s.groups.SetTags(g.ID, tagsOf(apiPool, apiPort)); err != nil {
			return err
		}
	}
	before := s.rules(anyRule)
	ipv4, ipv6 := s.revised.rules()
	err := s.act(ctx, nil, `{"dryRun":true}`, apiPool, expectation{added: ipv4 + ipv6, calls: []string{describe}, feed: http.StatusNotModified},
		fmt.Sprintf("You tag %s with port %d, and start with a dry run", enumerate(apiPool, len(groups)), apiPort),
		`{"dryRun":true} says what a run would do and changes nothing.`)
	if err == nil && !maps.Equal(before, s.rules(anyRule)) {
		err = s.wrong("a rule was changed, though nothing was to be")
	}
	return err
}

// closing sums up.
func (s *story) closing(context.Context) error {
	states, err := s.witness.verdict()
	if err != nil {
		return err
	}
	s.page.Indent(0)
	s.page.Line()
	s.page.Line(s.page.Good("✓"), fmt.Sprintf("  %d calls about groups, %d changed rules. None closed an address in use, not even for one call.", s.calls, states))
	s.page.Line("   ", s.page.Quiet("Next: deploy the function and tag a group, see README.md."))
	return nil
}

// act lets the function work, on a manual event or, where AWS publishes a document, on its notification. It tells what
// happened, shows the groups of a pool, if any, and verifies it all.
func (s *story) act(ctx context.Context, published *document, event, pool string, want expectation, headline, text string, args ...any) error {
	if published != nil {
		s.feed.Store(published)
		s.witness.expect(published)
		event = published.notification()
	}
	r, err := s.invoke(ctx, []byte(event))
	if err != nil {
		return err
	}
	s.step(headline, fmt.Sprintf(text, args...))
	s.showRun(r)
	if pool != "" {
		s.showGroups(s.list(pool), r)
	}
	return s.verify(r, want)
}

// indent is how far the text of a step is indented from its number.
const indent = 3

// step begins the next step with what happens in the world.
func (s *story) step(headline, text string) {
	s.steps++
	s.page.Indent(0)
	s.page.Line()
	number := fmt.Sprintf("%-*d", indent, s.steps)
	for _, line := range page.Wrap(strings.Fields(headline), " ", page.Width-indent) {
		s.page.Line(s.page.Strong(number + line))
		number = strings.Repeat(" ", indent)
	}
	s.page.Indent(indent)
	s.page.Say("%s", text)
}

// showRun shows the calls a run has made, and what became of the rules.
func (s *story) showRun(r *run) {
	const labels = 7 // how wide they are
	var calls []string
	for _, c := range r.calls {
		name := callNames[c.Action]
		if strings.Contains(name, "%") {
			g, _ := s.groups.Group(c.Resource)
			name = fmt.Sprintf(name, c.Rules, g.Name)
		}
		calls = append(calls, name)
	}
	s.page.Fact("calls", labels, " → ", calls...)
	format, kept := "%d added, %d revoked, %d kept", 0
	if r.DryRun {
		format = "%d to add, %d to revoke, %d to keep"
	}
	for _, g := range r.Groups {
		kept += g.Kept
	}
	s.page.Fact("rules", labels, "", fmt.Sprintf(format, r.Summary.Added, r.Summary.Revoked, kept))
}

// showGroups shows groups as they are, and what the run, if any, has changed of each, or would have.
func (s *story) showGroups(groups []ec2sim.Group, r *run) {
	header := []string{"group", "ports", "IPv4 rules", "IPv6 rules", "foreign"}
	switch {
	case r != nil && r.DryRun:
		header = append(header, "would change")
	case r != nil:
		header = append(header, "change")
	}
	var rows [][]string
	for _, g := range groups {
		var count [3]int // IPv4, IPv6 and foreign rules
		for _, r := range g.Ingress {
			for i, counts := range []bool{r.Source.Prefix.Addr().Is4(), r.Source.Prefix.Addr().Is6(), foreign(r)} {
				if counts {
					count[i]++
				}
			}
		}
		row := []string{g.Name, cmp.Or(g.Tags[tagPorts], "not tagged"), ofQuota(count[0]), ofQuota(count[1]), fmt.Sprint(count[2])}
		if r != nil {
			row = append(row, r.changeOf(g.ID))
		}
		rows = append(rows, row)
	}
	s.page.Line()
	s.page.Table(header, rows)
}

func ofQuota(n int) string { return fmt.Sprintf("%2d of %d", n, ec2sim.DefaultRulesPerGroup) }

// changeOf returns how many rules of a group a run has added and revoked, or would have.
func (r *run) changeOf(id string) (signs string) {
	for _, g := range r.Groups {
		if g.GroupID == id && g.Added > 0 {
			signs += fmt.Sprintf(" +%d", g.Added)
		}
		if g.GroupID == id && g.Revoked > 0 {
			signs += fmt.Sprintf(" -%d", g.Revoked)
		}
	}
	return strings.TrimSpace(signs)
}

func tagsOf(pool string, port int) map[string]string {
	return map[string]string{tagPorts: fmt.Sprint(port), tagPool: pool}
}

// groupsNeeded returns how many groups hold the rules of the document for one port beside one foreign rule, with room
// to add a range before another goes.
func groupsNeeded(d *document) int {
	ipv4, ipv6 := d.rules()
	const others = 2
	quota := ec2sim.DefaultRulesPerGroup
	return max(2, (max(ipv4, ipv6)+others+quota-1)/quota)
}

// enumerate names the first n groups of a pool.
func enumerate(pool string, n int) string {
	if n == 2 {
		return fmt.Sprintf("%s-1 and %s-2", pool, pool)
	}
	return fmt.Sprintf("%s-1 to %s-%d", pool, pool, n)
}
