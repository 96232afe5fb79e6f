package function

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"

	"github.com/google/go-cmp/cmp"
)

const opsTopic = "arn:aws:sns:eu-central-1:111122223333:ops"

// topic is a fake of SNS.
type topic struct {
	published []url.Values
	auth      string
	deny      bool
}

func (s *topic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	s.published, s.auth = append(s.published, form), r.Header.Get("Authorization")
	if s.deny {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>`+
			`<Code>AuthorizationError</Code><Message>not authorized to perform: SNS:Publish</Message></Error></ErrorResponse>`)
		return
	}
	_, _ = io.WriteString(w, `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult>`+
		`<MessageId>94f20ce6</MessageId></PublishResult></PublishResponse>`)
}

// newTestNotifier returns a notifier of the fake topic s.
func newTestNotifier(t *testing.T, s *topic) *notifier {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return newNotifier(awsConfig(server.URL), configOf(t, map[string]string{"NOTIFY_TOPIC_ARN": opsTopic}))
}

// The topic hears of each run that changes rules or entries, a failed one too, and of no other. A topic that refuses
// fails the run and undoes nothing.
func TestNotify(t *testing.T) {
	sim := ec2sim.New(ec2sim.Options{})
	feed := &switchable{feed: serve(goodDocument)}
	h, group := newTestHandler(t, sim, feed)
	here := sim.Region("", "us-east-1")
	tags := map[string]string{"cloudfront-ingress": "ranges"}
	list, err := here.CreatePrefixList(ec2sim.PrefixList{Name: "edge", Family: "IPv6", MaxEntries: 5, Tags: tags})
	if err != nil {
		t.Fatal(err)
	}
	s := &topic{}
	h.notifier = newTestNotifier(t, s)
	// told checks that the topic was told the subject and the message, or nothing where there is no subject.
	told := func(subject, message string) {
		t.Helper()
		got := [2]string{}
		for _, form := range s.published {
			got = [2]string{got[0] + form.Get("Subject"), got[1] + form.Get("Message")}
		}
		if diff := cmp.Diff([2]string{subject, message}, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		s.published = nil
	}
	invoke := func(payload string) {
		t.Helper()
		if _, err := h.Invoke(t.Context(), []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	ranges := func(at, token string) string {
		return fmt.Sprintf(" were changed to let in the ranges of CLOUDFRONT that AWS published on 2026-09-21 at %s UTC"+
			" (sync token %s).\n", at, token)
	}
	invoke(`{"dryRun":true}`)
	told("", "")
	invoke(`{}`)
	if first := s.published[0]; first.Get("Action") != "Publish" || first.Get("TopicArn") != opsTopic ||
		!strings.Contains(s.auth, "/eu-central-1/sns/aws4_request") {
		t.Errorf("request %v, signed as %s", first, s.auth)
	}
	told("cloudfront-sg-sync: 2 rules added, 0 revoked in 1 group; 1 added, 0 removed in 1 list",
		"Tagged security groups and prefix lists"+ranges("14:13:20", "1790000000")+`
us-east-1
  `+group+` "web-443": 2 rules added, 0 revoked
    + tcp 443 from 18.64.0.0/14
    + tcp 443 from 2600:9000::/28
  `+list.ID+` "edge": 1 added, 0 removed
    + 2600:9000::/28
`)
	invoke(`{}`)
	told("", "")

	feed.feed = serveNewer("18.64.0.0/14", "18.64.0.0/15")
	bad := makeGroup(t, sim, "44three")
	s.deny = true
	_, err = h.Invoke(t.Context(), []byte(`{}`))
	for _, part := range []string{"AuthorizationError", "sns:Publish", bad} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Fatalf("error %v, want one with %q", err, part)
		}
	}
	_, why, _ := strings.Cut(s.published[0].Get("Message"), "The run failed in part:\n  us-east-1: "+bad)
	why, _, _ = strings.Cut(why, "\n")
	told("cloudfront-sg-sync: 1 rule added, 1 revoked in 1 group; run failed",
		"Tagged security groups"+ranges("14:23:20", "1790000600")+`
The run failed in part:
  us-east-1: `+bad+why+`

us-east-1
  `+group+` "web-443": 1 rule added, 1 revoked
    + tcp 443 from 18.64.0.0/15
    - tcp 443 from 18.64.0.0/14
`)
	s.deny = false
	_, _, _ = h.run(t.Context(), task{Request: engine.Request{Withdraw: true}})
	const withdrawn = "The rules of the tagged security groups and the entries of the tagged prefix lists were withdrawn"
	got := s.published[0].Get("Message")
	if !strings.HasPrefix(got, withdrawn) || !strings.Contains(got, "- tcp 443 from 18.64.0.0/15") {
		t.Errorf("message\n%s", got)
	}
	const noLists = "The rules of the tagged security groups were withdrawn, because"
	if got := h.notifier.message(&engine.Report{}, true); !strings.HasPrefix(got, noLists) {
		t.Errorf("message\n%s", got)
	}
}

// However much was changed, SNS takes the message and the subject.
func TestNotificationIsBounded(t *testing.T) {
	var changes []engine.Change
	for i := range 1000 {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{52, byte(i / 256), byte(i), 0}), 24)
		rule := secgroup.RuleID{Protocol: "tcp", From: 443, To: 443, Source: secgroup.Source{Prefix: prefix}}
		changes = append(changes, engine.Change{Rule: rule, Added: true})
	}
	report := &engine.Report{
		Summary:  engine.Summary{Groups: 1 << 31, Changed: 1 << 31, Added: 1 << 31, Revoked: 1 << 31},
		Warnings: []string{"a warning"}, Errors: []string{"an error"},
	}
	for i := range 20 {
		report.Groups = append(report.Groups, engine.GroupReport{
			Account: "111122223333", Region: "eu-west-1", GroupID: fmt.Sprintf("sg-%017d", i), Name: "日本", Pool: "web",
			Added: 1000, Changes: changes[:1000-i], // of the others there is only a count
		})
	}
	n := &notifier{topicARN: opsTopic, services: "CLOUDFRONT"}
	message := n.message(report, false)
	end := strings.LastIndex(message, "\n\n")
	var more int
	if _, err := fmt.Sscanf(message[end:], "\n\n%d lines more did not fit", &more); err != nil {
		t.Fatal(err)
	}
	// The first line, those of the error, the warning and the place, and one for each group and each rule.
	if lines := strings.Count(message[:end], "\n") + 1 + more; lines != 1+3+3+2+20*1001 {
		t.Errorf("%d lines are told or counted", lines)
	}
	if len(message) > maxMessage || len(message) < maxMessage-200 || !utf8.ValidString(message) {
		t.Errorf("a message of %d bytes", len(message))
	}
	for _, part := range []string{
		"an error", "This needs a person:\n  a warning\n", "account 111122223333 in eu-west-1\n",
		`sg-00000000000000000 "日本" of pool "web": 1000 rules added, 0 revoked`, "+ tcp 443 from 52.0.7.0/24\n",
		"lines more did not fit; the log has the counts of all groups.\n",
	} {
		if !strings.Contains(message, part) {
			t.Errorf("no %q in the message", part)
		}
	}
	if s := subject(report); len(s) >= 100 {
		t.Errorf("a subject of %d characters: %s", len(s), s)
	}
}

// A topic that does not answer leaves time for the metrics and the answer.
func TestNotifyLeavesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		cfg := awsConfig("")
		cfg.HTTPClient = &http.Client{Transport: hanging}
		n := newNotifier(cfg, configOf(t, map[string]string{"NOTIFY_TOPIC_ARN": opsTopic}))
		for _, left := range []time.Duration{3 * time.Second, time.Minute} {
			most := min(left-publishReserve, publishTimeout)
			ctx, cancel := context.WithTimeout(t.Context(), left)
			began := time.Now()
			err := n.publish(ctx, &engine.Report{}, false)
			if took := time.Since(began); err == nil || took > most {
				t.Errorf("with %s left: error %v after %s", left, err, took)
			}
			cancel()
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
