package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/demo"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/loopback"
	"cloudfront-sg-sync/iprange"
)

type simCommand struct {
	Listen        string `placeholder:"ADDRESS" default:"127.0.0.1:4566" help:"Where to listen."`
	Seed          string `placeholder:"FILE" predictor:"file" help:"JSON that says which groups there are at the start."`
	RulesPerGroup quota  `placeholder:"N" default:"60" help:"Quota of rules per security group."`
	Throttle      bool   `help:"Refuse calls that come too fast, as EC2 does."`
}

// Validate reports flags that make no sense.
func (c *simCommand) Validate() error {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("--listen=%s is not an address such as 127.0.0.1:4566", c.Listen)
	}
	if !loopback.Is(host) {
		return hint.New(fmt.Sprintf("--listen=%s is not a loopback address, and others could reach the endpoint, which verifies no signatures", c.Listen), "use 127.0.0.1:"+port)
	}
	return nil
}

// Run serves the endpoint until the context ends.
func (c *simCommand) Run(ctx context.Context, t terminal) error {
	endpoint, err := c.endpoint()
	if err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", c.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return hint.New(c.Listen+" is in use", "stop what listens there, or choose another address with --listen")
	}
	if err != nil {
		return hint.With(err, "choose another address with --listen")
	}
	url := "http://" + listener.Addr().String()
	// It asks for no account, but the AWS CLI does not call without credentials and a region.
	fmt.Fprintf(t.out, "cfsg sim: ready on %s; try: AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any aws --endpoint-url %s --region us-east-1 ec2 describe-security-groups\n", url, url)
	return serve(ctx, listener, endpoint)
}

// endpoint returns the endpoint as the flags want it.
func (c *simCommand) endpoint() (*ec2sim.Server, error) {
	options := ec2sim.Options{RulesPerGroup: int(c.RulesPerGroup)}
	if c.Throttle {
		options.Throttle = ec2sim.EC2Throttle
	}
	endpoint := ec2sim.New(options)
	if c.Seed == "" {
		return endpoint, nil
	}
	f, err := os.Open(c.Seed)
	if err != nil {
		return nil, hint.With(fmt.Errorf("read the seed: %w", err), "check --seed")
	}
	defer f.Close()
	if err := endpoint.Seed(f); err != nil {
		return nil, hint.With(fmt.Errorf("read %s: %w", c.Seed, err), "cfsg sim --help shows an example")
	}
	return endpoint, nil
}

// serve answers requests until the context ends.
func serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type demoCommand struct {
	IPRanges string `name:"ip-ranges" placeholder:"SRC" predictor:"file" help:"The ip-ranges.json to use."`
	Verbose  bool   `short:"v" help:"Show the function's log."`
}

// demoConfig selects the ranges of the demo.
var demoConfig = config.Config{Selection: iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true}}

// Run shows the demo.
func (c *demoCommand) Run(ctx context.Context, t terminal) error {
	options := demo.Options{Out: t.out, Color: colorful(t.out)}
	if c.IPRanges != "" {
		ranges, err := rangeFlags{IPRanges: c.IPRanges}.read(ctx, t, demoConfig)
		if err != nil {
			return err
		}
		options.Document = ranges.document
	}
	if c.Verbose {
		options.Log = slog.New(slog.NewTextHandler(t.err, nil))
	}
	return demo.Run(ctx, options)
}
