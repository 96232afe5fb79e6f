package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

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
	feed     *feed
	handler  *function.Handler
	servers  []*http.Server
	calls    int // that the function has made
}

func newWorld(ctx context.Context, log *slog.Logger) (_ *world, err error) {
	w := &world{endpoint: ec2sim.New(ec2sim.Options{}), witness: newWitness(), feed: &feed{}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	w.groups = w.endpoint.Region("", region)
	w.endpoint.Observe(w.witness.see)
	endpointURL, err := w.serve(ctx, w.endpoint)
	if err != nil {
		return nil, err
	}
	feedURL, err := w.serve(ctx, w.feed)
	if err != nil {
		return nil, err
	}
	// Only what differs from a deployed function, whose environment is empty.
	environment := map[string]string{"IP_RANGES_URL": feedURL + "/ip-ranges.json", "METRICS_NAMESPACE": "none"}
	config, err := config.FromEnv(func(name string) string { return environment[name] })
	if err != nil {
		return nil, err
	}
	w.handler, err = function.New(config, aws.Config{
		Region:       region,
		Credentials:  credentials.NewStaticCredentialsProvider("demo", "demo", ""),
		BaseEndpoint: &endpointURL,
	}, log)
	return w, err
}

// serve serves h on a loopback port of its own and returns the URL.
func (w *world) serve(ctx context.Context, h http.Handler) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	w.servers = append(w.servers, server)
	go func() { _ = server.Serve(listener) }() // it fails when it is closed
	return "http://" + listener.Addr().String(), nil
}

func (w *world) close() {
	for _, server := range w.servers {
		_ = server.Close()
	}
}

// A run is one invocation of the function: what it answered, and what endpoint and feed have seen of it.
type run struct {
	engine.Report
	calls []ec2sim.Call
	feed  int // the HTTP status of its last answer
}

// invoke has Lambda hand an event to the function.
func (w *world) invoke(ctx context.Context, event []byte) (*run, error) {
	w.endpoint.ResetCalls()
	answer, err := w.handler.Invoke(ctx, event)
	// The look for prefix lists goes on beside that for groups, and finds none: the story is about groups.
	all := w.endpoint.ResetCalls()
	calls := slices.DeleteFunc(slices.Clone(all), func(c ec2sim.Call) bool { return c.Action == "DescribeManagedPrefixLists" })
	r := &run{calls: calls, feed: w.feed.lastStatus()}
	w.calls += len(r.calls)
	if err != nil {
		return nil, fmt.Errorf("the function: %w", err)
	}
	if n := len(all) - len(calls); n != 1 {
		return nil, fmt.Errorf("the function looked for prefix lists %d times instead of once", n)
	}
	if err := json.Unmarshal(answer, &r.Report); err != nil {
		return nil, fmt.Errorf("the function's answer: %w", err)
	}
	return r, nil
}

// actions returns the names of the calls, in their order.
func (r *run) actions() []string {
	var names []string
	for _, c := range r.calls {
		names = append(names, c.Action)
	}
	return names
}

// kept returns how many of the tool's rules stay.
func (r *run) kept() int {
	n := 0
	for _, g := range r.Groups {
		n += g.Kept
	}
	return n
}
