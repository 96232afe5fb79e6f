package setup

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// A Closed rule is one that a setup has closed. It is recorded in a tag before it is closed, so that whoever undoes the
// setup learns how to open it again: a group that the setup has created has that tag or, if there is none, the group
// that had the rule.
type Closed struct {
	GroupID string
	Rule    secgroup.Rule
}

// maxTagValue is the length of a tag's value. See
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
const maxTagValue = 256

// closedKey begins the keys of the tags that record what was closed.
func (s *Setup) closedKey() string { return s.markKey() + "-closed-" }

// tag returns the tag that records the rule. Its key is the same for the same rule.
func (s *Setup) closedTag(c Closed) types.Tag {
	text := fmt.Sprintf("%s %s %d %d %s", c.GroupID, c.Rule.Protocol, c.Rule.From, c.Rule.To, c.Rule.Source)
	hash := fnv.New32a()
	hash.Write([]byte(text))
	value := strings.TrimSpace(text + " " + c.Rule.Description)
	return types.Tag{Key: aws.String(fmt.Sprintf("%s%08x", s.closedKey(), hash.Sum32())), Value: aws.String(words.Shorten(value, maxTagValue-len("…")))}
}

// parseClosed reads the value of such a tag.
func parseClosed(value string) (Closed, bool) {
	fields := strings.SplitN(value, " ", 6)
	if len(fields) < 5 {
		return Closed{}, false
	}
	from, err := strconv.ParseInt(fields[2], 10, 32)
	to, err2 := strconv.ParseInt(fields[3], 10, 32)
	source, err3 := netip.ParsePrefix(fields[4])
	if err != nil || err2 != nil || err3 != nil {
		return Closed{}, false
	}
	c := Closed{GroupID: fields[0], Rule: secgroup.Rule{RuleID: secgroup.RuleID{
		Protocol: fields[1], From: int32(from), To: int32(to), Source: secgroup.Source{Prefix: source},
	}}}
	if len(fields) > 5 {
		c.Rule.Description = strings.TrimSuffix(fields[5], "…")
	}
	return c, true
}

// record notes a rule in a tag before it is closed.
func (s *Setup) record(ctx context.Context, state *State, step secgroup.Step) error {
	on := step.GroupID
	if len(state.Made) > 0 {
		on = state.Made[0].ID
	}
	_, err := s.EC2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{on}, Tags: []types.Tag{s.closedTag(Closed{step.GroupID, step.Rules[0]})}})
	if err != nil {
		return explain(fmt.Errorf("record in a tag of %s what is closed: %w", on, err), "ec2:CreateTags")
	}
	return nil
}

// closed returns the rules that setups have closed and that nobody has opened again.
func (s *Setup) closed(state *State) []Closed {
	tags := map[string]string{}
	groups := state.groups()
	for _, g := range groups {
		for key, value := range g.Tags {
			if strings.HasPrefix(key, s.closedKey()) {
				tags[key] = value
			}
		}
	}
	for _, g := range state.Made {
		maps.Copy(tags, g.closed)
	}
	var closed []Closed
	for _, value := range tags {
		c, ok := parseClosed(value)
		if !ok {
			continue
		}
		open := slices.ContainsFunc(groups, func(g secgroup.Group) bool {
			return g.ID == c.GroupID && slices.ContainsFunc(g.Ingress, func(r secgroup.Rule) bool { return r.RuleID == c.Rule.RuleID })
		})
		if !open {
			closed = append(closed, c)
		}
	}
	slices.SortFunc(closed, func(a, b Closed) int {
		return strings.Compare(a.GroupID+a.Rule.RuleID.String(), b.GroupID+b.Rule.RuleID.String())
	})
	return closed
}
