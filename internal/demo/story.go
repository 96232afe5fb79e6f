package demo

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/page"
)

// A story is the demo's: what happens, step by step, and what the function makes of it.
type story struct {
	*world
	page              *page.Page
	steps             int // told so far
	original, revised *document
	change            revision
	foreign           map[string]ec2sim.Rule // that the groups had at the start
}

func (s *story) tell(ctx context.Context) error {
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

// step begins the next step with what happens in the world.
func (s *story) step(headline string) {
	s.steps++
	s.page.Indent(0)
	s.page.Line()
	number := fmt.Sprintf("%-*d", indent, s.steps)
	for _, line := range page.Wrap(strings.Fields(headline), " ", page.Width-indent) {
		s.page.Line(s.page.Strong(number + line))
		number = strings.Repeat(" ", indent)
	}
	s.page.Indent(indent)
}

// indent is how far the text of a step stands to the right of its number.
const indent = 3

// tagging is step 1.
func (s *story) tagging(context.Context) error {
	n := groupsNeeded(s.original)
	if err := s.createGroups(n); err != nil {
		return err
	}
	s.foreign = s.foreignRules()
	s.step("You tag the security groups of an origin")
	s.page.Say("%s get the tags %s=%d and %s=%s: one pool, which shares its rules. web-1 also has a rule of the "+
		"office, for SSH. %s are not tagged. Nothing happens yet.",
		enumerate(webPool, n), tagPorts, webPort, tagPool, webPool, enumerate(apiPool, n))
	s.showGroups(s.list(webPool, apiPool), "", nil)
	return nil
}

// firstNotification is step 2.
func (s *story) firstNotification(ctx context.Context) error {
	r, err := s.publish(ctx, s.original)
	if err != nil {
		return err
	}
	ipv4, ipv6 := s.original.rules()
	s.step(fmt.Sprintf("AWS publishes its ranges of %s and notifies the function", stamp(s.original)))
	s.page.Say("%d ranges of CloudFront, merged without loss to %d IPv4 and %d IPv6 rules. A group may hold %d of each, "+
		"so the pool shares them.", len(s.original.publication.Prefixes), ipv4, ipv6, ec2sim.DefaultRulesPerGroup)
	s.showRun(r)
	s.showGroups(s.list(webPool), "change", r)
	calls := []string{describe, getQuota}
	for range r.Summary.Changed {
		calls = append(calls, authorize)
	}
	return s.verify(r, s.original, expectation{added: ipv4 + ipv6, calls: calls, feed: http.StatusOK})
}

// publishedChange is step 3.
func (s *story) publishedChange(ctx context.Context) error {
	r, err := s.publish(ctx, s.revised)
	if err != nil {
		return err
	}
	s.step(fmt.Sprintf("AWS publishes a change: %s is new, %s is gone", s.change.added, s.change.withdrawn))
	s.page.Say("The new range is authorized before the old one is revoked. And %s now comes as two halves: the same "+
		"addresses, so its rule stays.", s.change.recut)
	s.showRun(r)
	s.showGroups(s.list(webPool), "change", r)
	return s.verify(r, s.revised, expectation{
		added: 1, revoked: 1, calls: []string{describe, look, authorize, revoke}, feed: http.StatusOK,
	})
}

// repeatedNotification is step 4.
func (s *story) repeatedNotification(ctx context.Context) error {
	r, err := s.publish(ctx, s.revised)
	if err != nil {
		return err
	}
	s.step("SNS delivers the same notification a second time")
	s.page.Say("The file has not changed, and the groups are right: one look is all it takes.")
	s.showRun(r)
	return s.verify(r, s.revised, expectation{calls: []string{describe}, feed: http.StatusNotModified})
}

// repair is step 5.
func (s *story) repair(ctx context.Context) error {
	damage, err := s.breakRules()
	if err != nil {
		return err
	}
	r, err := s.invoke(ctx, []byte(`{}`))
	if err != nil {
		return err
	}
	s.step(fmt.Sprintf("Someone edits %s by hand", damage.group))
	s.page.Say("The rule of %s is lost, and one of %s left behind. A manual run, {}, repairs both, and leaves the rule "+
		"of the office alone.", damage.lost, damage.stray)
	s.showRun(r)
	s.showGroups(s.list(webPool), "change", r)
	return s.verify(r, s.revised, expectation{
		added: 1, revoked: 1, calls: []string{describe, look, authorize, revoke}, feed: http.StatusNotModified,
	})
}

// dryRun is step 6.
func (s *story) dryRun(ctx context.Context) error {
	if err := s.tagAPI(); err != nil {
		return err
	}
	before := s.rulesNow()
	r, err := s.invoke(ctx, []byte(`{"dryRun":true}`))
	if err != nil {
		return err
	}
	groups := s.list(apiPool)
	s.step(fmt.Sprintf("You tag %s with port %d, and start with a dry run", enumerate(apiPool, len(groups)), apiPort))
	s.page.Say(`{"dryRun":true} says what a run would do and changes nothing.`)
	s.showRun(r)
	s.showGroups(groups, "would change", r)
	ipv4, ipv6 := s.revised.rules()
	if err := s.verify(r, s.revised, expectation{
		added: ipv4 + ipv6, calls: []string{describe}, feed: http.StatusNotModified,
	}); err != nil {
		return err
	}
	return s.verifyUnchanged(before)
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

// publish has AWS publish a document and notify the function.
func (s *story) publish(ctx context.Context, d *document) (*run, error) {
	event, err := notification(d)
	if err != nil {
		return nil, err
	}
	s.feed.publish(d)
	s.witness.expect(d)
	return s.invoke(ctx, event)
}
