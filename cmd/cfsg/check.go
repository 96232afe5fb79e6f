package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"cloudfront-sg-sync/internal/approach"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/secgroup"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

type checkCommand struct {
	Name []string `arg:"" optional:"" help:"What to check: any of what the flags name."`
	placeFlags
	outputFlags
	Group        []string `placeholder:"ID" help:"A security group; several are judged together."`
	Instance     []string `placeholder:"ID" help:"An instance: each of its network interfaces."`
	Interface    []string `placeholder:"ID" help:"A network interface."`
	LoadBalancer []string `placeholder:"NAME" help:"A load balancer: each of its network interfaces."`
	Address      []string `placeholder:"IP" help:"A public address: the network interface that has it."`
	Port         []string `placeholder:"PORTS" help:"The ports (default: those in the groups' tags, or 443)."`

	selector door.Selector
	hosts    []string // names to look up
	ports    []secgroup.PortRange
	// also, if not nil, gets to see what was found, and may look further.
	also func(context.Context, approach.Client, *door.Scene)
}

// Validate reports flags that make no sense. An argument becomes the value of the flag for its kind.
func (c *checkCommand) Validate() error {
	for _, text := range c.Name {
		c.named(c.parse(text))
	}
	c.Name = nil
	for _, flag := range []*[]string{&c.Group, &c.Instance, &c.Interface, &c.LoadBalancer} {
		for i, text := range *flag {
			(*flag)[i] = c.parse(text)
		}
	}
	c.selector = door.Selector{Groups: c.Group, Instances: c.Instance, Interfaces: c.Interface, LoadBalancers: c.LoadBalancer}
	for _, text := range c.Address {
		name := c.parse(text)
		addr, err := netip.ParseAddr(name)
		switch {
		case err == nil:
			c.selector.Addresses = append(c.selector.Addresses, addr.Unmap())
		case strings.Contains(name, "."):
			c.hosts = append(c.hosts, name)
		default: // the DNS name of a load balancer
			c.selector.LoadBalancers = append(c.selector.LoadBalancers, name)
		}
	}
	if err := c.selector.Validate(); err != nil && len(c.hosts) == 0 {
		return err
	}
	var err error
	c.ports, err = parsePorts(c.Port)
	return err
}

// named adds something to check to the flag for its kind.
func (c *checkCommand) named(name string) {
	kind, _, _ := strings.Cut(name, "-")
	flag := cmp.Or(map[string]*[]string{"sg": &c.Group, "i": &c.Instance, "eni": &c.Interface}[kind], &c.LoadBalancer)
	if _, err := netip.ParseAddr(name); err == nil || strings.Contains(name, ".") { // an address or a host
		flag = &c.Address
	}
	*flag = append(*flag, name)
}

// lookup asks DNS; a test does not.
var lookup = net.DefaultResolver.LookupNetIP

// resolve finds the addresses of the hosts that are named.
func (c *checkCommand) resolve(ctx context.Context) error {
	for _, host := range c.hosts {
		found, err := lookup(ctx, "ip", host)
		if err != nil {
			return hint.With(fmt.Errorf("%s is neither an IP address nor a name that has one: %w", host, err), "name the load balancer, the instance or the address instead")
		}
		for _, addr := range found {
			c.selector.Addresses = append(c.selector.Addresses, addr.Unmap())
		}
	}
	return nil
}

// Run shows whether the groups let all of CloudFront in.
func (c *checkCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	if err := c.resolve(ctx); err != nil {
		return err
	}
	doc, err := c.check(ctx, t)
	if err != nil {
		return err
	}
	doc.Judgement = document.Judge(doc.Report.Mark, doc.Report.Cause, c.better(k, doc.Report)...)
	if err := c.print(t, doc, func(w *page.Page) { writeCheck(w, doc) }); err != nil {
		return err
	}
	if doc.ShutOut() {
		return c.failed(doc.Judgement)
	}
	return nil
}

// better returns the command that makes the verdict better: setup, where setup can do it; else the pages about tagged
// groups, which say what is missing.
func (c *checkCommand) better(k *kong.Context, r *door.Report) []string {
	switch {
	case r.Mark == door.OK:
		return nil
	case r.BeyondOriginFacing():
		return next(k, "check", "--service", originFacing)
	}
	var more []string
	if ports := r.SetupPorts(); len(ports) > 0 {
		more = []string{"--port", strings.Join(secgroup.PortNames(ports), ",")}
	}
	for _, s := range r.Subjects {
		if s.Judgement != r.Judgement || s.Interface == nil {
			continue
		}
		if s.Beyond() {
			return next(k, "check") // once a person has done what the cause says
		}
		if s.Tagged {
			continue
		}
		if origin := s.Interface.Origin(); origin != nil {
			return next(k, "setup", append(origin, more...)...)
		}
	}
	return next(k, "status")
}

func (c *checkCommand) check(ctx context.Context, t terminal) (*document.Check, error) {
	at, err := c.openOne(ctx, t, "a check looks", c.given())
	if err != nil {
		return nil, err
	}
	defer t.progress("looking at the security groups …")()
	target, cfg := at.target(), at.inAccount()
	client := ec2.NewFromConfig(cfg)
	reader := approach.NewClient(engine.Narrow(client), client, elb.NewFromConfig(cfg))
	scene, err := door.Discover(ctx, reader, c.selector)
	if err == nil {
		err = reader.Complete(ctx, scene)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	if c.also != nil {
		c.also(ctx, reader, scene)
	}
	at.settle(scene.Groups())
	question, err := at.question(c.ports)
	if err != nil {
		return nil, err
	}
	return &document.Check{
		Settings: at.settings, Services: at.settings.Services, Within: at.settings.Within,
		Account: target.Account, Region: target.Region, Report: door.Judge(scene, question),
	}, nil
}
