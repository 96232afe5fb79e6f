package setup

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// maxTagValue is the length of a tag's value. See
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
const maxTagValue = 256

// closedKey begins the keys of the tags that record what was closed.
func (s *Setup) closedKey() string { return s.markKey() + "-closed-" }

// closedTag returns the tag that records a rule of a group. Its key is the same for the same rule.
func (s *Setup) closedTag(group string, rule secgroup.Rule) types.Tag {
	text := fmt.Sprintf("%s %s %d %d %s", group, rule.Protocol, rule.From, rule.To, rule.Source)
	hash := fnv.New32a()
	hash.Write([]byte(text))
	value := strings.TrimSpace(text + " " + rule.Description)
	return tag(fmt.Sprintf("%s%08x", s.closedKey(), hash.Sum32()), words.Shorten(value, maxTagValue-len("…")))
}

// parseClosed reads the value of such a tag.
func parseClosed(value string) (Opening, bool) {
	var group, prefix string
	var r secgroup.Rule
	if n, err := fmt.Sscan(value, &group, &r.Protocol, &r.From, &r.To, &prefix); n < 5 || err != nil {
		return Opening{}, false
	}
	var err error
	if r.Source.Prefix, err = netip.ParsePrefix(prefix); err != nil {
		return Opening{}, false
	}
	if fields := strings.SplitN(value, " ", 6); len(fields) > 5 {
		r.Description = strings.TrimSuffix(fields[5], "…")
	}
	return Opening{Closed: true, Reopen: []string{}, WorldRule: door.WorldRule{
		RuleOf: door.RuleOf{Group: door.GroupID{ID: group}, Protocol: r.Protocol, Ports: r.Ports(), Description: r.Description},
		Source: r.Source.String(), Opens: []string{}, Interfaces: []string{}, Rule: r,
	}}, true
}

// record notes a rule in a tag before it is closed, so that whoever undoes the setup learns how to open it again. The
// tag is on a group that the setup has created or, if there is none, on the group that has the rule.
func (s *Setup) record(ctx context.Context, state *State, step secgroup.Step) error {
	on := step.HolderID
	if len(state.Made) > 0 {
		on = state.Made[0].ID
	}
	return s.createTags(ctx, on, s.closedTag(step.HolderID, step.Remove[0]))
}

// closed returns the rules that setups have closed and that nobody has opened again.
func (s *Setup) closed(state *State) []Opening {
	var closed []Opening
	for _, g := range slices.Concat(state.groups(), state.Made) {
		for key, value := range g.Tags {
			o, ok := parseClosed(value)
			if !ok || !strings.HasPrefix(key, s.closedKey()) || slices.ContainsFunc(closed, o.same) {
				continue
			}
			here := func(r secgroup.Rule) bool { return r.RuleID == o.Rule.RuleID }
			if !slices.ContainsFunc(state.group(o.Group.ID).Ingress, here) {
				closed = append(closed, o)
			}
		}
	}
	slices.SortFunc(closed, func(a, b Opening) int {
		return strings.Compare(a.Group.ID+a.Rule.RuleID.String(), b.Group.ID+b.Rule.RuleID.String())
	})
	return closed
}
