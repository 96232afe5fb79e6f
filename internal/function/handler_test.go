package function

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/iprange"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

const goodDocument = `{"syncToken":"1790000000","createDate":"2026-09-21-14-13-20","prefixes":[
{"ip_prefix":"18.64.0.0/14","region":"GLOBAL","service":"CLOUDFRONT"},
{"ip_prefix":"3.5.140.0/22","region":"us-east-1","service":"S3"}],
"ipv6_prefixes":[{"ipv6_prefix":"2600:9000::/28","region":"GLOBAL","service":"CLOUDFRONT"}]}`

// withRange returns a newer good document with one more entry in a list.
func withRange(list, entry string) string {
	doc := strings.Replace(goodDocument, "1790000000", "1790000001", 1)
	return strings.Replace(doc, `"`+list+`":[`, `"`+list+`":[`+entry+`,`, 1)
}

func ipv4Range(cidr string) string {
	return withRange("prefixes", fmt.Sprintf(`{"ip_prefix":%q,"region":"GLOBAL","service":"CLOUDFRONT"}`, cidr))
}

func ipv6Range(cidr string) string {
	return withRange("ipv6_prefixes", fmt.Sprintf(`{"ipv6_prefix":%q,"region":"GLOBAL","service":"CLOUDFRONT"}`, cidr))
}

// serve returns a handler that answers with a document.
func serve(document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, document) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }
}

// A feed that is anything but a good, current file changes no rule.
func TestBadFeedChangesNothing(t *testing.T) {
	cases := []struct {
		name string
		feed http.HandlerFunc
		want string // in the error
	}{
		{"404", status(404), "404 Not Found"},
		{"500s", status(500), "500 Internal Server Error"},
		{"timeout", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded"},
		{"cut in the middle", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, goodDocument[:100])
		}, "unexpected EOF"},
		{"gzip bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			zw := gzip.NewWriter(w)
			for range 1 << 10 {
				_, _ = zw.Write(make([]byte, 1<<20))
			}
		}, "this is not ip-ranges.json"},
		{"gzip bomb in JSON", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			zw := gzip.NewWriter(w)
			_, _ = io.WriteString(zw, `{"prefixes":[`)
			for range 1 << 22 {
				_, _ = io.WriteString(zw, `{"ip_prefix":"3.5.140.0/22","service":"S3"},`)
			}
		}, "larger than 32 MiB"},
		{"40 MB", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(40<<20))
			_, _ = io.WriteString(w, strings.Repeat(" ", 40<<20))
		}, "larger than 32 MiB"},
		{"HTML", serve("<!doctype html><title>Sign in</title>"), "this is not ip-ranges.json"},
		{"empty object", serve(`{}`), "syncToken"},
		{"null", serve(`null`), "this is not ip-ranges.json"},
		{"trailing data", serve(goodDocument + `{}`), "more data follows"},
		{"duplicate keys", serve(strings.Replace(goodDocument, `"prefixes"`, `"syncToken":"1790000001","prefixes"`, 1)), "duplicate"},
		{"host bits", serve(ipv4Range("52.222.128.1/17")), "52.222.128.1/17"},
		{"all of IPv4", serve(ipv4Range("0.0.0.0/0")), "0.0.0.0/0"},
		{"a private range", serve(ipv4Range("10.0.0.0/8")), "10.0.0.0/8"},
		{"all of IPv6", serve(ipv6Range("::/0")), "::/0"},
		{"IPv4 in the IPv6 list", serve(ipv6Range("52.222.128.0/17")), "52.222.128.0/17"},
		{"no range of the service", serve(strings.ReplaceAll(goodDocument, "CLOUDFRONT", "EC2")), "CLOUDFRONT"},
		{"an older file", serve(strings.Replace(goodDocument, "1790000000", "1780000000", 1)), "made from a newer one"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sim := ec2sim.New(ec2sim.Options{})
			feed := &switchable{feed: serve(goodDocument)}
			h, group := newTestHandler(t, sim, feed)
			if c.name == "timeout" {
				h.fetcher.Timeout = 200 * time.Millisecond
			}
			if _, err := h.Invoke(t.Context(), []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
			before := rulesOf(t, sim, group)
			sim.ResetCalls()

			feed.feed = c.feed
			_, err := h.Invoke(t.Context(), []byte(`{}`))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			for _, call := range sim.Calls() {
				if call.Mutating {
					t.Errorf("it calls %s", call.Action)
				}
			}
			if after := rulesOf(t, sim, group); after != before || after != 2 {
				t.Errorf("%d rules before, %d after", before, after)
			}
		})
	}
}

// A notification decides which file is good enough.
func TestNotifiedFile(t *testing.T) {
	const sum = "0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct{ synctoken, want string }{
		"another MD5":      {"1790000000", "corrupt"},
		"a stale cache":    {"1790000500", "stale"},
		"a newer file":     {"1780000000", ""},
		"not a sync token": {"yesterday", "yesterday"},
	} {
		t.Run(name, func(t *testing.T) {
			sim := ec2sim.New(ec2sim.Options{})
			h, group := newTestHandler(t, sim, serve(goodDocument))
			message := fmt.Sprintf(`{\"create-time\":\"x\",\"synctoken\":%q,\"md5\":%q,\"url\":\"https://example.com/\"}`, c.synctoken, sum)
			message = strings.ReplaceAll(strings.ReplaceAll(message, `\"`, `"`), `"`, `\"`)
			_, err := h.Invoke(t.Context(), fmt.Appendf(nil, `{"Records":[{"EventSource":"aws:sns","Sns":{"TopicArn":%q,"Message":"%s"}}]}`, config.DefaultTopicARN, message))
			if c.want == "" {
				if err != nil || rulesOf(t, sim, group) != 2 {
					t.Errorf("error %v, %d rules", err, rulesOf(t, sim, group))
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || rulesOf(t, sim, group) != 0 {
				t.Errorf("error %v, %d rules", err, rulesOf(t, sim, group))
			}
		})
	}
}

// The schedule's answer warns of what is open to the world, also in groups that the function does not manage.
func TestAnswerWarnsOfWorld(t *testing.T) {
	sim := ec2sim.New(ec2sim.Options{})
	h, group := newTestHandler(t, sim, serve(goodDocument))
	here := sim.Region("", "us-east-1")
	other, err := here.CreateGroup(ec2sim.Group{Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if err := here.AddRules(other.ID, ec2sim.Rule{Permission: ec2sim.Permission{Protocol: "tcp", From: 80, To: 80, Source: ec2sim.Source{Prefix: netip.MustParsePrefix("0.0.0.0/0")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := here.CreateInterface(ec2sim.Interface{Groups: []string{group, other.ID}, PublicIP: netip.MustParseAddr("198.51.100.8")}); err != nil {
		t.Fatal(err)
	}
	answer, err := h.Invoke(t.Context(), []byte(scheduled))
	if err != nil || !strings.Contains(string(answer), `"warnings":["us-east-1: open to the world: `+other.ID+` other lets 0.0.0.0/0 in on port 80;`) {
		t.Errorf("answer %s, error %v", answer, err)
	}
}

// An event that is refused changes nothing, and the error is bounded however long the event is.
func TestRefusedEvent(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, payload := range map[string]string{
		"mistyped":               `{"dryrun":true}`,
		"option beside records":  `{"dryRun":true,"Records":[]}`,
		"option beside schedule": `{"detail-type":"Scheduled Event","dryrun":true}`,
		"long field":             fmt.Sprintf(`{%q:true}`, long),
		"long ID":                fmt.Sprintf(`{"groupIds":[%q]}`, long),
		"long topic":             fmt.Sprintf(`{"Records":[{"EventSource":"aws:sns","Sns":{"TopicArn":%q,"Message":"m"}}]}`, long),
		"long source":            fmt.Sprintf(`{"Records":[{"EventSource":%q}]}`, long),
		"long duplicate":         fmt.Sprintf(`{%q:1,%q:2}`, long, long),
	} {
		t.Run(name, func(t *testing.T) {
			sim := ec2sim.New(ec2sim.Options{})
			h, _ := newTestHandler(t, sim, serve(goodDocument))
			sim.ResetCalls()
			_, err := h.Invoke(t.Context(), []byte(payload))
			if err == nil || len(err.Error()) > 2000 {
				t.Errorf("error %v", err)
			}
			if calls := sim.Calls(); len(calls) > 0 {
				t.Errorf("it calls %s", calls[0].Action)
			}
		})
	}
}

// switchable is a feed whose answer changes between runs.
type switchable struct{ feed http.HandlerFunc }

func (s *switchable) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.feed(w, r) }

// newTestHandler returns a handler that works on the endpoint with the feed, and the ID of a group tagged 443.
func newTestHandler(t *testing.T, sim *ec2sim.Server, feed http.Handler) (h *Handler, group string) {
	t.Helper()
	endpoint := httptest.NewServer(sim)
	t.Cleanup(endpoint.Close)
	source := httptest.NewServer(feed)
	t.Cleanup(source.Close)
	c, err := config.FromEnv(environ(map[string]string{"IP_RANGES_URL": source.URL, "METRICS_NAMESPACE": "none"}))
	if err != nil {
		t.Fatal(err)
	}
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	}
	h, err = New(c, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.sleep = func(context.Context, time.Duration) error { return nil }
	h.fetcher.Attempts = 2
	h.fetcher.Pause = time.Millisecond
	h.fetcher.StalePatience = 50 * time.Millisecond
	h.fetcher.StalePause = 10 * time.Millisecond
	return h, makeGroup(t, sim)
}

// makeGroup makes a group tagged 443 and returns its ID.
func makeGroup(t *testing.T, sim *ec2sim.Server) string {
	t.Helper()
	g, err := sim.Region("", "us-east-1").CreateGroup(ec2sim.Group{Name: "web", Tags: map[string]string{"cloudfront-ingress": "443"}})
	if err != nil {
		t.Fatal(err)
	}
	return g.ID
}

// rulesOf counts the ingress rules of a group.
func rulesOf(t *testing.T, sim *ec2sim.Server, id string) int {
	t.Helper()
	g, ok := sim.Region("", "us-east-1").Group(id)
	if !ok {
		t.Fatalf("there is no group %s", id)
	}
	return len(g.Ingress)
}

// The log tells at a glance whether a run needs a person.
func TestLogReport(t *testing.T) {
	for _, test := range []struct {
		report engine.Report
		err    error
		want   string
	}{
		{engine.Report{}, nil, `"level":"INFO","msg":"run finished",`},
		{engine.Report{Warnings: []string{"sg-1 is open"}}, nil, `"level":"WARN","msg":"run finished with warnings",`},
		{engine.Report{Warnings: []string{"sg-1 is open"}}, errors.New("x"), `"level":"ERROR","msg":"run failed",`},
	} {
		var out bytes.Buffer
		h := &Handler{log: slog.New(slog.NewJSONHandler(&out, nil))}
		if h.logReport(t.Context(), &test.report, []byte("{}"), test.err); !strings.Contains(out.String(), test.want) {
			t.Errorf("log %s, want %s", out.String(), test.want)
		}
	}
}

// The answer of a run that panics has the same shape as any other: its lists are there, if empty.
func TestReportOfPanicHasNoNull(t *testing.T) {
	var out bytes.Buffer
	h := &Handler{log: slog.New(slog.NewJSONHandler(&out, nil))}
	h.engine = &engine.Engine{Log: h.log, Fetch: func(context.Context, *iprange.Notice) (*iprange.Publication, error) {
		return nil, nil //nolint:nilnil // what no fetch returns, for the engine to stumble over
	}}
	_, answer, err := h.run(t.Context(), task{})
	if err == nil || strings.Contains(string(answer), "null") || !strings.Contains(string(answer), `"errors":["panic: `) {
		t.Errorf("error %v, answer %s", err, answer)
	}
}

// environ returns a getenv of an environment.
func environ(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}
