package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/function"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// region is where the function and its groups are.
const region = "us-east-1"

// A world is what the function lives in: an EC2 endpoint, a feed, and someone who watches both.
type world struct {
	endpoint *ec2sim.Server
	groups   ec2sim.Region
	witness  *witness
	feed     atomic.Pointer[document] // what AWS has published last
	answered atomic.Int32             // the HTTP status of the feed's last answer
	handler  *function.Handler
	close    func()
	calls    int // that the function has made
}

func newWorld(log *slog.Logger) (*world, error) {
	w := &world{endpoint: ec2sim.New(ec2sim.Options{}), witness: newWitness()}
	w.groups = w.endpoint.Region("", region)
	w.endpoint.Observe(w.witness.see)
	endpoint, feed := httptest.NewServer(w.endpoint), httptest.NewServer(http.HandlerFunc(w.serveFeed))
	w.close = func() { endpoint.Close(); feed.Close() }
	// Only what differs from a deployed function, whose environment is empty.
	environment := map[string]string{"IP_RANGES_URL": feed.URL + "/ip-ranges.json", "METRICS_NAMESPACE": "none"}
	config, err := config.FromEnv(func(name string) string { return environment[name] })
	if err == nil {
		w.handler, err = function.New(config, aws.Config{
			Region:       region,
			Credentials:  credentials.NewStaticCredentialsProvider("demo", "demo", ""),
			BaseEndpoint: &endpoint.URL,
		}, log)
	}
	if err != nil {
		w.close()
	}
	return w, err
}

// serveFeed serves what AWS has published last to clients that may have it already.
func (w *world) serveFeed(out http.ResponseWriter, r *http.Request) {
	d, status := w.feed.Load(), http.StatusOK
	if r.Header.Get("If-None-Match") == d.etag() {
		status = http.StatusNotModified
	}
	w.answered.Store(int32(status))
	out.Header().Set("ETag", d.etag())
	out.Header().Set("Content-Type", "application/json")
	out.WriteHeader(status)
	if status == http.StatusOK {
		_, _ = out.Write(d.bytes)
	}
}

// A run is one invocation of the function: what it answered, and the calls that the endpoint has seen.
type run struct {
	engine.Report
	calls []ec2sim.Call
}

// invoke has Lambda hand an event to the function.
func (w *world) invoke(ctx context.Context, event []byte) (*run, error) {
	w.endpoint.ResetCalls()
	answer, err := w.handler.Invoke(ctx, event)
	if err != nil {
		return nil, fmt.Errorf("the function: %w", err)
	}
	// The look for prefix lists and their owner goes on beside that for groups, and finds none: the story is about groups.
	r := &run{}
	n := 0
	for _, c := range w.endpoint.ResetCalls() {
		switch c.Action {
		case "DescribeManagedPrefixLists":
			n++
		case "GetCallerIdentity":
		default:
			r.calls = append(r.calls, c)
		}
	}
	if n != 1 {
		return nil, fmt.Errorf("the function looked for prefix lists %d times instead of once", n)
	}
	w.calls += len(r.calls)
	if err := json.Unmarshal(answer, &r.Report); err != nil {
		return nil, fmt.Errorf("the function's answer: %w", err)
	}
	return r, nil
}

// list returns the groups whose name starts with one of the words.
func (w *world) list(words ...string) []ec2sim.Group {
	return slices.DeleteFunc(w.groups.Groups(), func(g ec2sim.Group) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(g.Name, word+"-") })
	})
}

// rules returns the rules of the groups of both pools for which keep reports true, as text by group and ID.
func (w *world) rules(keep func(ec2sim.Rule) bool) map[string]string {
	rules := map[string]string{}
	for _, g := range w.list(webPool, apiPool) {
		for _, r := range g.Ingress {
			if keep(r) {
				rules[g.ID+r.ID] = r.Permission.String() + r.Description
			}
		}
	}
	return rules
}

// owned reports whether a rule says that it is the function's.
func owned(r ec2sim.Rule) bool { return strings.HasPrefix(r.Description, tagPorts+":") }

func foreign(r ec2sim.Rule) bool { return !owned(r) }

func anyRule(ec2sim.Rule) bool { return true }
