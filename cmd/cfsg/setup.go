package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/setup"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

type setupCommand struct {
	Name string `arg:"" optional:"" help:"A load balancer, an instance or a network interface."`
	placeFlags
	outputFlags
	LoadBalancer  string   `placeholder:"NAME" help:"An Application or Network Load Balancer."`
	Instance      string   `placeholder:"ID" help:"An instance, with all its network interfaces."`
	Interface     string   `placeholder:"ID" help:"A network interface."`
	Port          []string `placeholder:"PORTS" help:"The ports that CloudFront connects to."`
	RulesPerGroup string   `placeholder:"N" help:"The quota of rules per group (default auto: ask Service Quotas)."`
	PrefixList    bool     `help:"Attach no group: make prefix lists, for rules that another tool owns."`
	Undo          bool     `help:"Undo setup."`
	DryRun        bool     `help:"Show the steps, and take none."`
	Yes           bool     `short:"y" help:"Do not ask before the steps; what is open to the world stays open."`
	CloseWorld    bool     `help:"Close what is open to the world on these ports, without a question."`

	origin setup.Origin
	ports  []secgroup.PortRange
}

// Validate reports flags that make no sense.
func (c *setupCommand) Validate() error {
	if err := c.nameOrigin(); err != nil {
		return err
	}
	if err := c.origin.Validate(); err != nil {
		return err
	}
	if c.Port == nil && !c.Undo && c.origin.Kind != setup.LoadBalancer { // whose listeners are named
		return hint.New("--port is missing", "name the ports that CloudFront connects to, such as --port 443")
	}
	if c.Undo && c.PrefixList {
		return hint.New("--undo undoes lists and groups alike", "leave out --prefix-list")
	}
	if c.Undo && c.CloseWorld {
		return hint.New("--undo closes nothing", "leave out --close-world")
	}
	var err error
	c.ports, err = parsePorts(c.Port)
	return err
}

// nameOrigin finds the one origin that is named. A name without a flag becomes the value of the flag for its kind.
func (c *setupCommand) nameOrigin() error {
	named := strings.Fields(strings.Join([]string{c.Name, c.LoadBalancer, c.Instance, c.Interface}, " "))
	if len(named) != 1 {
		return hint.New("no origin, or more than one", "name one with --load-balancer, --instance or --interface")
	}
	name, kind, flag := c.parse(named[0]), setup.LoadBalancer, &c.LoadBalancer
	switch bare := c.Name != ""; {
	case c.Instance != "", bare && strings.HasPrefix(name, "i-"):
		kind, flag = setup.Instance, &c.Instance
	case c.Interface != "", bare && strings.HasPrefix(name, "eni-"):
		kind, flag = setup.Interface, &c.Interface
	case bare && (strings.HasPrefix(name, "sg-") || strings.ContainsAny(name, ".:")):
		return hint.New(fmt.Sprintf("%s is not a load balancer, an instance or a network interface", name), "name one; cfsg check shows which it belongs to")
	}
	c.Name, *flag, c.origin = "", name, setup.Origin{Kind: kind, Name: name}
	return nil
}

// given returns the flags' settings. If nobody names ranges, they are the compact cover, which takes one group.
func (c *setupCommand) given() map[string]given {
	values := c.placeFlags.given()
	give(values, "RULES_PER_GROUP", "--rules-per-group", c.RulesPerGroup)
	if len(c.Service) == 0 && len(c.Within) == 0 && c.Stack == "" && os.Getenv("SERVICES") == "" && os.Getenv("WITHIN") == "" {
		values["SERVICES"], values["WITHIN"] = given{value: iprange.CloudFrontOriginFacing}, given{value: iprange.CloudFront}
	}
	return values
}

// Run sets an origin up, or takes that back.
func (c *setupCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	if !c.DryRun && !c.Yes && (c.Undo || c.ports != nil) {
		if err := canAsk(t, c.outputFlags, c.rangeFlags, "use --dry-run to see the steps or --yes to take them, with --close-world to close what is open to the world"); err != nil {
			return err
		}
	}
	r, err := c.prepare(ctx, t)
	if err != nil {
		return err
	}
	switch {
	case c.Undo:
		err = r.undo(ctx)
	case c.ports == nil:
		err = r.portMissing(ctx)
	default:
		err = r.setup(ctx)
	}
	if errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled) {
		err = errInterrupted
		if n := r.taken; n > 0 {
			err = hint.New(fmt.Sprintf("interrupted: %s taken, and nothing else was changed", words.CountAs(n, "step was", "steps were")), "run it again to continue")
		}
	}
	if r.doc.Conclude(err, next(k)); err == nil && r.doc.Mark == document.Failed {
		err = c.failed(r.doc.Judgement)
	}
	return errors.Join(err, c.print(t, r.doc, func(*page.Page) {}))
}

// prepare reads the configuration and the ranges.
func (c *setupCommand) prepare(ctx context.Context, t terminal) (*setupRun, error) {
	at, err := c.openOne(ctx, t, "a setup works", c.given())
	if err != nil {
		return nil, err
	}
	defer t.progress("reading the ranges and the quotas …")()
	e, err := at.engine(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	account := engine.AccountOf(at.role)
	e.Targets = slices.DeleteFunc(e.Targets, func(target *engine.Target) bool { return target.Account != account })
	if !c.Undo {
		if err := at.infer(ctx, e); err != nil {
			return nil, err
		}
	}
	ranges, err := at.ranges()
	if err != nil {
		return nil, err
	}
	question, err := at.question(c.ports)
	if err != nil {
		return nil, err
	}
	cfg, target := at.inAccount(), e.Targets[0]
	r := &setupRun{
		setupCommand: c, t: t, in: bufio.NewReader(t.in), page: page.New(t.out, colorful(t.out)),
		Setup: &setup.Setup{
			Origin: c.origin, EC2: ec2.NewFromConfig(cfg), ELB: elb.NewFromConfig(cfg), Engine: e,
			Question: question, Patience: setupPatience, ByList: c.PrefixList,
			RulesPerGroup: at.RulesPerGroup, GroupsPerInterface: secgroup.InterfaceGroups,
		},
		doc: &document.Setup{
			Settings: at.settings, Services: at.settings.Services, Within: at.settings.Within, PublishedAt: ranges.Published,
			Account: target.Account, Region: target.Region, Origin: c.origin, Ports: secgroup.PortNames(c.ports),
			Undo: c.Undo, DryRun: c.DryRun, Notes: []string{}, Steps: []setup.Step{}, OpenToWorld: []setup.Opening{},
			ShutOut: []string{}, Left: []string{},
		},
	}
	r.doc.See(&setup.State{Scene: &door.Scene{}})
	for _, p := range ranges.Merged() {
		r.Rules[secgroup.FamilyOf(p)]++
	}
	if c.json() {
		r.page = page.New(io.Discard, false)
	}
	if c.Undo {
		r.Setup.RulesPerGroup = engine.DefaultRulesPerGroup // no room is needed to take something back
		return r, nil
	}
	r.askQuotas(ctx, cfg)
	return r, nil
}

// setupPatience is how long a setup waits for AWS to show what was done: groups are attached to the interfaces of a
// load balancer one after the other.
var setupPatience = time.Minute

// askQuotas asks for the quotas, as far as they matter, and notes those that cannot be asked for.
func (r *setupRun) askQuotas(ctx context.Context, cfg aws.Config) {
	note := func(format string, args ...any) { r.doc.Notes = append(r.doc.Notes, fmt.Sprintf(format, args...)) }
	if r.Setup.RulesPerGroup == 0 {
		rules, err := r.Engine.Targets[0].Quota(ctx)
		if r.Setup.RulesPerGroup = rules; err != nil {
			r.Setup.RulesPerGroup = engine.DefaultRulesPerGroup
			note("Cannot read the quota of rules per group, assuming %d: grant servicequotas:GetServiceQuota or use --rules-per-group (%v).", r.Setup.RulesPerGroup, err)
		}
	}
	if r.origin.Kind != setup.LoadBalancer { // that has five, whatever the quota
		groups, err := engine.GroupsPerInterface(ctx, cfg)
		if r.GroupsPerInterface = groups; err != nil {
			r.GroupsPerInterface = secgroup.InterfaceGroups
			note("Cannot read the quota of groups per network interface, assuming %d: grant servicequotas:GetServiceQuota (%v).", r.GroupsPerInterface, err)
		}
	}
}
