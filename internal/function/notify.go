package function

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// changes collects the rules that a run adds and revokes, as many as a message has room for. It may be called by
// several goroutines at a time.
type changes struct {
	mu     sync.Mutex
	groups map[group][]change
	noted  int // changes in groups
}

// A group is a security group, or a prefix list, of a target.
type group struct {
	target *engine.Target
	id     string
}

// A change is a rule, or an entry of a prefix list, that was added or revoked.
type change struct {
	adds bool
	rule string
}

// maxChanges is more than a message has room for, at some 25 bytes each. The report counts the rest without keeping it,
// which in many accounts would take most of a run's memory.
const maxChanges = maxMessage / 25

// add notes a step, unless it only changes descriptions.
func (c *changes) add(t *engine.Target, step secgroup.Step) {
	var made []change
	for _, r := range step.Add {
		made = append(made, change{true, nameOf(step.Kind, r)})
	}
	for _, r := range step.Remove {
		made = append(made, change{false, nameOf(step.Kind, r)})
	}
	if len(made) > 0 {
		c.note(group{t, step.HolderID}, made)
	}
}

// nameOf names a rule, or the entry of a prefix list.
func nameOf(kind secgroup.Kind, r secgroup.Rule) string {
	if kind == secgroup.ManagedPrefixList {
		return r.Source.String()
	}
	return r.RuleID.String()
}

// note notes changes, up to maxChanges. Adding a rule and removing it again cancel out.
func (c *changes) note(g group, made []change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups == nil {
		c.groups = map[group][]change{}
	}
	all := c.groups[g]
	for _, m := range made {
		if i := slices.Index(all, change{!m.adds, m.rule}); i >= 0 {
			all = slices.Delete(all, i, i+1)
			c.noted--
		} else if c.noted < maxChanges {
			all = append(all, m)
			c.noted++
		}
	}
	c.groups[g] = all
}

func (c *changes) empty() bool { return len(c.groups) == 0 }

// targets returns the accounts and regions that were changed, in order.
func (c *changes) targets() []*engine.Target {
	seen := map[*engine.Target]bool{}
	for g := range c.groups {
		seen[g.target] = true
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b *engine.Target) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region))
	})
}

// A notifier publishes the changes of a run to an SNS topic.
type notifier struct {
	client   *sns.Client
	topicARN string
	services string
}

// newNotifier returns a notifier for the topic of the configuration.
func newNotifier(cfg aws.Config, c config.Config) *notifier {
	client := sns.NewFromConfig(cfg, func(o *sns.Options) { o.Region = strings.Split(c.NotifyTopicARN, ":")[3] })
	return &notifier{client: client, topicARN: c.NotifyTopicARN, services: c.Selection.String()}
}

const (
	// publishTimeout bounds how long a run waits for the topic. publishReserve is the time kept for the metrics and the
	// answer in the log.
	publishTimeout = 10 * time.Second
	publishReserve = time.Second
)

// publish publishes the changes of a run.
func (n *notifier) publish(ctx context.Context, c *changes, report *engine.Report, withdrawn bool) error {
	timeout := publishTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)-publishReserve)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := n.client.Publish(ctx, &sns.PublishInput{
		TopicArn: &n.topicARN,
		Subject:  aws.String(subject(report)),
		Message:  aws.String(n.message(c, report, withdrawn)),
	})
	if err != nil {
		return hint.With(fmt.Errorf("notify topic %s: %w; the rules are as reported", n.topicARN, err), "check that the topic exists and that the function may sns:Publish to it")
	}
	return nil
}

// SNS takes subjects of fewer than 100 ASCII characters, and messages of 256 KB. See
// https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
const maxMessage = 256 << 10

// subject returns the notification's subject.
func subject(report *engine.Report) string {
	var parts []string
	lists := report.Lists()
	if report.Summary.Changed > 0 || lists.Changed == 0 {
		parts = append(parts, fmt.Sprintf("%s added, %d revoked in %s",
			words.Count(report.Summary.Added, "rule"), report.Summary.Revoked, words.Count(report.Summary.Changed, "group")))
	}
	if lists.Changed > 0 {
		parts = append(parts, fmt.Sprintf("%d added, %d removed in %s", lists.Added, lists.Revoked, words.Count(lists.Changed, "list")))
	}
	s := "cloudfront-sg-sync: " + strings.Join(parts, "; ")
	if len(report.Errors) > 0 {
		s += "; run failed"
	}
	return s
}

// changed names the kinds of holders that were changed.
func changed(report *engine.Report) string {
	switch lists := report.Lists().Changed > 0; {
	case lists && report.Summary.Changed > 0:
		return "Tagged security groups and prefix lists"
	case lists:
		return "Tagged prefix lists"
	}
	return "Tagged security groups"
}

// withdrawnFrom names the rules and entries that were withdrawn.
func withdrawnFrom(report *engine.Report) string {
	if report.Lists().Changed > 0 {
		return "The rules of the tagged security groups and the entries of the tagged prefix lists"
	}
	return "The rules of the tagged security groups"
}

// message returns the notification's text.
func (n *notifier) message(c *changes, report *engine.Report, withdrawn bool) string {
	var m message
	if withdrawn {
		m.line("%s were withdrawn, because the stack that kept them was deleted.", withdrawnFrom(report))
	} else {
		m.line("%s were changed to let in the ranges of %s that AWS published on %s (sync token %s).",
			changed(report), n.services, report.PublishedAt.UTC().Format("2006-01-02 at 15:04:05 UTC"), report.SyncToken)
	}
	if len(report.Errors) > 0 {
		m.line("")
		m.line("The run failed in part:")
		for _, err := range report.Errors {
			m.line("  %s", err)
		}
	}
	if len(report.Warnings) > 0 {
		m.line("")
		m.line("This needs a person:")
		for _, warning := range report.Warnings {
			m.line("  %s", warning)
		}
	}
	for _, t := range c.targets() {
		m.line("")
		m.line("%s", t)
		m.groups(t, c, report)
	}
	return m.String()
}

// A message is text of at most maxMessage bytes.
type message struct {
	text    strings.Builder
	dropped int // lines that did not fit
	missing int // lines for changes that were not noted
}

// line adds a line, if it fits.
func (m *message) line(format string, args ...any) {
	const reserve = 100 // for the last line
	line := fmt.Sprintf(format, args...)
	if m.dropped > 0 || m.text.Len()+len(line)+1 > maxMessage-reserve {
		m.dropped++
		return
	}
	m.text.WriteString(line)
	m.text.WriteByte('\n')
}

// String returns the text, with a count of the lines that did not fit.
func (m *message) String() string {
	more := m.dropped + m.missing
	if more == 0 {
		return m.text.String()
	}
	return m.text.String() + fmt.Sprintf("\n%s more did not fit; the log has the counts of all groups.\n", words.Count(more, "line"))
}

// groups adds the changes in an account and region, group by group and list by list.
func (m *message) groups(t *engine.Target, c *changes, report *engine.Report) {
	for _, g := range report.Groups {
		if made, changed := c.groups[group{t, g.GroupID}]; changed && g.Account == t.Account && g.Region == t.Region {
			m.line("  %s: %s added, %d revoked", named(g.GroupID, g.Name, g.Pool), words.Count(g.Added, "rule"), g.Revoked)
			m.changes(made, g.Added+g.Revoked)
		}
	}
	for _, l := range report.PrefixLists {
		if made, changed := c.groups[group{t, l.PrefixListID}]; changed && l.Account == t.Account && l.Region == t.Region {
			m.line("  %s: %d added, %d removed", named(l.PrefixListID, l.Name, ""), l.Added, l.Removed)
			m.changes(made, l.Added+l.Removed)
		}
	}
}

func named(id, name, pool string) string {
	text := fmt.Sprintf("%s %q", id, name)
	if pool != "" {
		text += fmt.Sprintf(" of pool %q", pool)
	}
	return text
}

// changes adds a line for each noted change of a group or list, of all changes.
func (m *message) changes(made []change, all int) {
	for _, change := range made {
		sign := "+"
		if !change.adds {
			sign = "-"
		}
		m.line("    %s %s", sign, change.rule)
	}
	m.missing += all - len(made)
}
