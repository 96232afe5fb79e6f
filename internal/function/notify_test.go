package function

import (
	"bytes"
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

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
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
		_, _ = io.WriteString(w, `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>not authorized to perform: SNS:Publish</Message></Error><RequestId>1</RequestId></ErrorResponse>`)
		return
	}
	_, _ = io.WriteString(w, `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>94f20ce6</MessageId></PublishResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></PublishResponse>`)
}

// newTestNotifier returns a notifier of the fake topic s.
func newTestNotifier(t *testing.T, s *topic) *notifier {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := config.FromEnv(environ(map[string]string{"NOTIFY_TOPIC_ARN": opsTopic}))
	if err != nil {
		t.Fatal(err)
	}
	return newNotifier(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	}, c)
}

// The topic is told of each run that changes rules, and of no other.
func TestNotify(t *testing.T) {
	sim := ec2sim.New(ec2sim.Options{})
	feed := &switchable{feed: serve(goodDocument)}
	h, group := newTestHandler(t, sim, feed)
	s := &topic{}
	h.notifier = newTestNotifier(t, s)
	invoke := func(payload string, want int) {
		t.Helper()
		if _, err := h.Invoke(t.Context(), []byte(payload)); err != nil {
			t.Fatal(err)
		}
		if len(s.published) != want {
			t.Fatalf("after %s the topic was told %d times, not %d", payload, len(s.published), want)
		}
	}
	invoke(`{"dryRun":true}`, 0)
	invoke(`{}`, 1)
	invoke(`{}`, 1)
	feed.feed = serve(strings.NewReplacer("18.64.0.0/14", "18.64.0.0/15", "1790000000", "1790000600").Replace(goodDocument))
	invoke(`{}`, 2)

	first := s.published[0]
	if first.Get("Action") != "Publish" || first.Get("TopicArn") != opsTopic || !strings.Contains(s.auth, "/eu-central-1/sns/aws4_request") {
		t.Errorf("request %v, signed as %s", first, s.auth)
	}
	for i, want := range []struct{ subject, message string }{
		{
			"cloudfront-sg-sync: 2 rules added, 0 revoked in 1 group",
			`Tagged security groups were changed to let in the ranges of CLOUDFRONT that AWS published on 2026-09-21 at 14:13:20 UTC (sync token 1790000000).

us-east-1
  ` + group + ` "web": 2 rules added, 0 revoked
    + tcp 443 from 18.64.0.0/14
    + tcp 443 from 2600:9000::/28
`,
		},
		{
			"cloudfront-sg-sync: 1 rule added, 1 revoked in 1 group",
			`Tagged security groups were changed to let in the ranges of CLOUDFRONT that AWS published on 2026-09-21 at 14:23:20 UTC (sync token 1790000600).

us-east-1
  ` + group + ` "web": 1 rule added, 1 revoked
    + tcp 443 from 18.64.0.0/15
    - tcp 443 from 18.64.0.0/14
`,
		},
	} {
		if got := s.published[i].Get("Subject"); got != want.subject {
			t.Errorf("subject %q", got)
		}
		if got := s.published[i].Get("Message"); got != want.message {
			t.Errorf("message\n%s\nwant\n%s", got, want.message)
		}
	}
}

// A run that fails after it has changed rules tells that too; a topic that cannot be told fails the run and undoes
// nothing.
func TestNotifyFailure(t *testing.T) {
	sim := ec2sim.New(ec2sim.Options{})
	h, group := newTestHandler(t, sim, serve(goodDocument))
	bad, err := sim.Region("", "us-east-1").CreateGroup(ec2sim.Group{Name: "bad", Tags: map[string]string{"cloudfront-ingress": "44three"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &topic{deny: true}
	h.notifier = newTestNotifier(t, s)
	_, err = h.Invoke(t.Context(), []byte(`{}`))
	if err == nil || !strings.Contains(err.Error(), "AuthorizationError") || !strings.Contains(err.Error(), "sns:Publish") || !strings.Contains(err.Error(), bad.ID) {
		t.Errorf("error %v", err)
	}
	if n := rulesOf(t, sim, group); n != 2 {
		t.Errorf("%d rules", n)
	}
	message := s.published[0].Get("Message")
	if !strings.Contains(message, "The run failed in part:\n  us-east-1: "+bad.ID) || !strings.Contains(message, "+ tcp 443 from 18.64.0.0/14") {
		t.Errorf("message\n%s", message)
	}
	if got := s.published[0].Get("Subject"); got != "cloudfront-sg-sync: 2 rules added, 0 revoked in 1 group; run failed" {
		t.Errorf("subject %q", got)
	}
}

func TestNotifyWithdrawal(t *testing.T) {
	sim := ec2sim.New(ec2sim.Options{})
	h, group := newTestHandler(t, sim, serve(goodDocument))
	if _, err := h.Invoke(t.Context(), []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	s := &topic{}
	h.notifier = newTestNotifier(t, s)
	if _, _, err := h.run(t.Context(), task{Request: engine.Request{Withdraw: true}}); err != nil || rulesOf(t, sim, group) != 0 {
		t.Fatalf("error %v, %d rules", err, rulesOf(t, sim, group))
	}
	if got := s.published[0].Get("Message"); !strings.HasPrefix(got, "The rules of the tagged security groups were withdrawn") || !strings.Contains(got, "- tcp 443 from 18.64.0.0/14") {
		t.Errorf("message\n%s", got)
	}
}

// However much was changed, SNS takes the message and the subject.
func TestNotificationIsBounded(t *testing.T) {
	var changes []engine.Change
	for i := range 1000 {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{52, byte(i / 256), byte(i), 0}), 24)
		changes = append(changes, engine.Change{Rule: secgroup.RuleID{Protocol: "tcp", From: 443, To: 443, Source: secgroup.Source{Prefix: prefix}}, Added: true})
	}
	report := &engine.Report{Summary: engine.Summary{Groups: 1 << 31, Changed: 1 << 31, Added: 1 << 31, Revoked: 1 << 31}, Warnings: []string{"a warning"}, Errors: []string{"an error"}}
	for i := range 20 {
		report.Groups = append(report.Groups, engine.GroupReport{
			Account: "111122223333", Region: "eu-west-1", GroupID: fmt.Sprintf("sg-%017d", i), Name: "日本", Pool: "web", Added: 1000, Changes: changes[:1000-i], // of the others there is only a count
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
	for _, part := range []string{"an error", "This needs a person:\n  a warning\n", "account 111122223333 in eu-west-1\n", `sg-00000000000000000 "日本" of pool "web": 1000 rules added, 0 revoked`, "+ tcp 443 from 52.0.7.0/24\n", "lines more did not fit; the log has the counts of all groups.\n"} {
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
		c, err := config.FromEnv(environ(map[string]string{"NOTIFY_TOPIC_ARN": opsTopic}))
		if err != nil {
			t.Fatal(err)
		}
		hanging := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		n := newNotifier(aws.Config{
			Region: "us-east-1", HTTPClient: &http.Client{Transport: hanging},
			Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		}, c)
		for left, most := range map[time.Duration]time.Duration{3 * time.Second: 3*time.Second - publishReserve, time.Minute: publishTimeout} {
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

// A notice has the changes of prefix lists beside those of groups, and counts both.
func TestPrefixListsAreTold(t *testing.T) {
	sim := ec2sim.New(ec2sim.Options{})
	h, group := newTestHandler(t, sim, serve(goodDocument))
	list, err := sim.Region("", "us-east-1").CreatePrefixList(ec2sim.PrefixList{
		Name: "edge", Family: "IPv6", MaxEntries: 5, Tags: map[string]string{"cloudfront-ingress": "ranges"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &topic{}
	h.notifier = newTestNotifier(t, s)
	var out bytes.Buffer
	h.metrics = &metrics{out: &out, namespace: "Edge"}
	if _, err := h.Invoke(t.Context(), []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	want := `Tagged security groups and prefix lists were changed to let in the ranges of CLOUDFRONT that AWS published on 2026-09-21 at 14:13:20 UTC (sync token 1790000000).

us-east-1
  ` + group + ` "web": 2 rules added, 0 revoked
    + tcp 443 from 18.64.0.0/14
    + tcp 443 from 2600:9000::/28
  ` + list.ID + ` "edge": 1 added, 0 removed
    + 2600:9000::/28
`
	if len(s.published) != 1 {
		t.Fatalf("the topic was told %d times", len(s.published))
	}
	if diff := cmp.Diff(want, s.published[0].Get("Message")); diff != "" {
		t.Error(diff)
	}
	if got, want := s.published[0].Get("Subject"), "cloudfront-sg-sync: 2 rules added, 0 revoked in 1 group; 1 added, 0 removed in 1 list"; got != want {
		t.Errorf("subject %q", got)
	}
	for _, part := range []string{`"RulesAdded":3`, `"GroupsManaged":2`, `"GroupsChanged":2`} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %s in %s", part, out.String())
		}
	}
	if text := h.notifier.message(&engine.Report{PrefixLists: []engine.PrefixListReport{{Removed: 1}}}, true); !strings.Contains(text, "the entries of the tagged prefix lists were withdrawn") {
		t.Errorf("got %q", text)
	}
}
