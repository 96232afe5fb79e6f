package function

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// A notifier publishes the changes of a run to an SNS topic.
type notifier struct {
	client   *sns.Client
	topicARN string
	services string
}

func newNotifier(cfg aws.Config, c config.Config) *notifier {
	client := sns.NewFromConfig(cfg, func(o *sns.Options) { o.Region = strings.Split(c.NotifyTopicARN, ":")[3] })
	return &notifier{client: client, topicARN: c.NotifyTopicARN, services: c.Selection.String()}
}

const (
	publishTimeout = 10 * time.Second // bounds how long a run waits for the topic
	publishReserve = time.Second      // is kept for the metrics and the answer in the log
)

// publish publishes the changes of a run.
func (n *notifier) publish(ctx context.Context, report *engine.Report, withdrawn bool) error {
	timeout := publishTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)-publishReserve)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := n.client.Publish(ctx, &sns.PublishInput{
		TopicArn: &n.topicARN,
		Subject:  aws.String(subject(report)),
		Message:  aws.String(n.message(report, withdrawn)),
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

// message returns the notification's text.
func (n *notifier) message(report *engine.Report, withdrawn bool) string {
	var m message
	entries, what := "", "Tagged security groups"
	if lists := report.Lists().Changed > 0; lists && report.Summary.Changed > 0 {
		entries, what = " and the entries of the tagged prefix lists", "Tagged security groups and prefix lists"
	} else if lists {
		entries, what = " and the entries of the tagged prefix lists", "Tagged prefix lists"
	}
	if withdrawn {
		m.line("The rules of the tagged security groups%s were withdrawn, because the stack that kept them was deleted.", entries)
	} else {
		m.line("%s were changed to let in the ranges of %s that AWS published on %s (sync token %s).",
			what, n.services, report.PublishedAt.UTC().Format("2006-01-02 at 15:04:05 UTC"), report.SyncToken)
	}
	m.list("The run failed in part:", report.Errors)
	m.list("This needs a person:", report.Warnings)
	all := changedHolders(report)
	for i, h := range all {
		if i == 0 || h.place != all[i-1].place {
			m.line("")
			m.line("%s", &engine.Target{Account: h.place[0], Region: h.place[1]})
		}
		m.line("  %s", h.text)
		m.unkept += h.changed - len(h.changes)
		for _, c := range h.changes {
			sign, rule := "-", c.Rule.String()
			if c.Added {
				sign = "+"
			}
			if h.isList {
				rule = c.Rule.Source.String()
			}
			m.line("    %s %s", sign, rule)
		}
	}
	return m.String()
}

// A changedHolder is a group or list that has changed, in an account and region.
type changedHolder struct {
	place   [2]string
	text    string
	isList  bool
	changed int             // rules or entries
	changes []engine.Change // those that the report has kept
}

// changedHolders returns the groups and lists that have changed, by account and region, groups first.
func changedHolders(report *engine.Report) (all []changedHolder) {
	for _, g := range report.Groups {
		of := ""
		if g.Pool != "" {
			of = fmt.Sprintf(" of pool %q", g.Pool)
		}
		text := fmt.Sprintf("%s %q%s: %s added, %d revoked", g.GroupID, g.Name, of, words.Count(g.Added, "rule"), g.Revoked)
		all = append(all, changedHolder{[2]string{g.Account, g.Region}, text, false, g.Added + g.Revoked, g.Changes})
	}
	for _, l := range report.PrefixLists {
		text := fmt.Sprintf("%s %q: %d added, %d removed", l.PrefixListID, l.Name, l.Added, l.Removed)
		all = append(all, changedHolder{[2]string{l.Account, l.Region}, text, true, l.Added + l.Removed, l.Changes})
	}
	slices.SortStableFunc(all, func(a, b changedHolder) int { return slices.Compare(a.place[:], b.place[:]) })
	return slices.DeleteFunc(all, func(h changedHolder) bool { return h.changed == 0 })
}

// A message is text of at most maxMessage bytes.
type message struct {
	text    strings.Builder
	dropped int // lines that did not fit
	unkept  int // changes that the report only counts
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

// list adds lines below a title, if there are any.
func (m *message) list(title string, lines []string) {
	if len(lines) > 0 {
		m.line("\n%s", title)
	}
	for _, line := range lines {
		m.line("  %s", line)
	}
}

// String returns the text, with a count of the lines that did not fit.
func (m *message) String() string {
	if m.dropped+m.unkept == 0 {
		return m.text.String()
	}
	return m.text.String() + fmt.Sprintf("\n%s more did not fit; the log has the counts of all groups.\n", words.Count(m.dropped+m.unkept, "line"))
}
