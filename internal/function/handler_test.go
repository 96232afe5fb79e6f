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

// serve returns a handler that answers with a document.
func serve(document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, document) }
}

// serveNewer returns a handler that answers with a newer document in which one text replaces another.
func serveNewer(old, replacement string) http.HandlerFunc {
	return serve(strings.NewReplacer("1790000000", "1790000600", old, replacement).Replace(goodDocument))
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }
}

// A feed that is anything but a good, current file changes no rule.
func TestBadFeedChangesNothing(t *testing.T) {
	const ipv4, ipv6 = "18.64.0.0/14", "2600:9000::/28"
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
		{"duplicate keys", serveNewer(`"prefixes"`, `"syncToken":"1790000001","prefixes"`), "duplicate"},
		{"host bits", serveNewer(ipv4, "52.222.128.1/17"), "52.222.128.1/17"},
		{"all of IPv4", serveNewer(ipv4, "0.0.0.0/0"), "0.0.0.0/0"},
		{"a private range", serveNewer(ipv4, "10.0.0.0/8"), "10.0.0.0/8"},
		{"all of IPv6", serveNewer(ipv6, "::/0"), "::/0"},
		{"IPv4 in the IPv6 list", serveNewer(ipv6, "52.222.128.0/17"), "52.222.128.0/17"},
		{"no range of the service", serveNewer("CLOUDFRONT", "EC2"), "CLOUDFRONT"},
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
			if n := rulesOf(t, sim, group); n != 2 {
				t.Errorf("%d rules, not 2", n)
			}
		})
	}
}

// A notification decides which file is good enough.
func TestNotifiedFile(t *testing.T) {
	words := map[string]string{"1790000000": "corrupt", "1790000500": "stale", "1780000000": "", "yesterday": "yesterday"}
	for token, want := range words {
		sim := ec2sim.New(ec2sim.Options{})
		h, group := newTestHandler(t, sim, serve(goodDocument))
		_, err := h.Invoke(t.Context(), []byte(notification(announcement(token, oldSum))))
		fine, n := err == nil, rulesOf(t, sim, group)
		if fine != (want == "") || !strings.Contains(fmt.Sprint(err), want) || fine != (n == 2) {
			t.Errorf("token %s: error %v, %d rules", token, err, n)
		}
	}
}

// The schedule's answer warns of what is open to the world, also in groups that the function does not manage.
func TestAnswerWarnsOfWorld(t *testing.T) {
	sim := ec2sim.New(ec2sim.Options{})
	h, group := newTestHandler(t, sim, serve(goodDocument))
	here := sim.Region("", "us-east-1")
	world := ec2sim.Rule{Permission: ec2sim.TCP(80, 80, netip.MustParsePrefix("0.0.0.0/0"))}
	other, err := here.CreateGroup(ec2sim.Group{Name: "other", Ingress: []ec2sim.Rule{world}})
	if err != nil {
		t.Fatal(err)
	}
	eni := ec2sim.Interface{Groups: []string{group, other.ID}, PublicIP: netip.MustParseAddr("198.51.100.8")}
	if _, err := here.CreateInterface(eni); err != nil {
		t.Fatal(err)
	}
	answer, err := h.Invoke(t.Context(), []byte(scheduled))
	want := `"warnings":["us-east-1: open to the world: ` + other.ID + ` other lets 0.0.0.0/0 in on port 80;`
	if err != nil || !strings.Contains(string(answer), want) {
		t.Errorf("answer %s, error %v", answer, err)
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
	c := configOf(t, map[string]string{"IP_RANGES_URL": source.URL, "METRICS_NAMESPACE": "none"})
	h, err := New(c, awsConfig(endpoint.URL), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.sleep = func(context.Context, time.Duration) error { return nil }
	h.fetcher.Attempts = 2
	h.fetcher.Pause = time.Millisecond
	h.fetcher.StalePatience = 50 * time.Millisecond
	h.fetcher.StalePause = 10 * time.Millisecond
	return h, makeGroup(t, sim, "443")
}

// awsConfig returns the configuration of clients that call an endpoint.
func awsConfig(url string) aws.Config {
	own := credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")
	return aws.Config{Region: "us-east-1", BaseEndpoint: &url, Credentials: own}
}

// makeGroup makes a tagged group and returns its ID.
func makeGroup(t *testing.T, sim *ec2sim.Server, ports string) string {
	t.Helper()
	group := ec2sim.Group{Name: "web-" + ports, Tags: map[string]string{"cloudfront-ingress": ports}}
	made, err := sim.Region("", "us-east-1").CreateGroup(group)
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
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
	warned := engine.Report{Warnings: []string{"sg-1 is open"}}
	for _, test := range []struct {
		report engine.Report
		err    error
		want   string
	}{
		{engine.Report{}, nil, `"level":"INFO","msg":"run finished",`},
		{warned, nil, `"level":"WARN","msg":"run finished with warnings",`},
		{warned, errors.New("x"), `"level":"ERROR","msg":"run failed",`},
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
	h := &Handler{log: slog.New(slog.DiscardHandler)}
	h.engine = &engine.Engine{Log: h.log, Fetch: func(context.Context, *iprange.Notice) (*iprange.Publication, error) {
		return nil, nil //nolint:nilnil // what no fetch returns, for the engine to stumble over
	}}
	_, answer, err := h.run(t.Context(), task{})
	if err == nil || strings.Contains(string(answer), "null") || !strings.Contains(string(answer), `"errors":["panic: `) {
		t.Errorf("error %v, answer %s", err, answer)
	}
}

// configOf returns the settings of an environment.
func configOf(t *testing.T, environment map[string]string) config.Config {
	t.Helper()
	c, err := config.FromEnv(func(name string) string { return environment[name] })
	if err != nil {
		t.Fatal(err)
	}
	return c
}
