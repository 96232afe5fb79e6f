package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/coverage"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/setup"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

type setupCommand struct {
	placeFlags
	outputFlags
	LoadBalancer  string   `placeholder:"NAME" help:"An Application or Network Load Balancer."`
	Instance      string   `placeholder:"ID" help:"An instance, with all its network interfaces."`
	Interface     string   `placeholder:"ID" help:"A network interface."`
	Port          []string `placeholder:"PORTS" help:"The ports that CloudFront connects to."`
	RulesPerGroup string   `placeholder:"N" help:"The quota of rules per group (default auto: ask Service Quotas)."`
	PrefixList    bool     `help:"Attach no group: make prefix lists, for rules that another tool owns."`
	Undo          bool     `help:"Take back what setup has made."`
	DryRun        bool     `help:"Show the steps, and take none."`
	Yes           bool     `short:"y" help:"Do not ask before the steps; what is open to the world stays open."`
	CloseWorld    bool     `help:"Close what is open to the world on these ports, without a question."`

	origin setup.Origin
	ports  []secgroup.PortRange
}

// Validate reports flags that make no sense.
func (c *setupCommand) Validate() error {
	var named []setup.Origin
	for _, o := range []setup.Origin{{Kind: setup.LoadBalancer, Name: c.LoadBalancer}, {Kind: setup.Instance, Name: c.Instance}, {Kind: setup.Interface, Name: c.Interface}} {
		if o.Name != "" {
			named = append(named, o)
		}
	}
	if len(named) != 1 {
		return hint.New("no origin, or more than one", "name one with --load-balancer, --instance or --interface")
	}
	c.origin = named[0]
	if err := c.origin.Validate(); err != nil {
		return err
	}
	if c.Port == nil && !c.Undo {
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

// given returns what the flags say. Where nobody says which ranges are wanted, it
// is the compact cover: it takes one group.
func (c *setupCommand) given() map[string]given {
	values := c.placeFlags.given()
	give(values, "RULES_PER_GROUP", "--rules-per-group", c.RulesPerGroup)
	if len(c.Service) == 0 && len(c.Within) == 0 && c.Stack == "" && os.Getenv("SERVICES") == "" && os.Getenv("WITHIN") == "" {
		values["SERVICES"], values["WITHIN"] = given{value: iprange.CloudFrontOriginFacing}, given{value: iprange.CloudFront}
	}
	return values
}

// Run sets an origin up, or takes that back.
func (c *setupCommand) Run(ctx context.Context, t terminal) error {
	if !c.DryRun && !c.Yes {
		if err := canAsk(t, c.outputFlags, c.rangeFlags, "use --dry-run to see the steps or --yes to take them, with --close-world to close what is open to the world"); err != nil {
			return err
		}
	}
	r, err := c.prepare(ctx, t)
	if err != nil {
		return err
	}
	if c.Undo {
		err = r.undo(ctx)
	} else {
		err = r.setup(ctx)
	}
	if c.json() {
		return errors.Join(err, document.Write(t.out, r.doc))
	}
	return err
}

// A setupRun is a setup under way.
type setupRun struct {
	*setupCommand
	*setup.Setup
	t     terminal
	in    *bufio.Reader
	doc   *document.Setup
	world []setup.Opening
}

// prepare reads the configuration and the ranges.
func (c *setupCommand) prepare(ctx context.Context, t terminal) (*setupRun, error) {
	config, err := c.readConfig(ctx, t, c.given())
	if err != nil {
		return nil, err
	}
	if err := onePlace("a setup works", config); err != nil {
		return nil, err
	}
	cfg, err := c.awsConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer t.progress("reading the ranges and the quotas …")()
	ranges, err := c.read(ctx, t, config)
	if err != nil {
		return nil, err
	}
	question, err := questionOf(config, ranges, c.ports)
	if err != nil {
		return nil, err
	}
	fetch := func(context.Context, *iprange.Notice) (*iprange.Publication, error) { return ranges.Publication, nil }
	e, err := engine.New(config, cfg, fetch, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	role := strings.Join(engine.Roles(config, cfg.Region), "") // there is at most one
	account := engine.AccountOf(role)
	e.Targets = slices.DeleteFunc(e.Targets, func(target *engine.Target) bool { return target.Account != account })
	cfg.Region = e.Targets[0].Region
	r := &setupRun{
		setupCommand: c, t: t, in: bufio.NewReader(t.in),
		Setup: &setup.Setup{
			Origin: c.origin, Ports: c.ports, EC2: engine.NewEC2(cfg, role, config.ExternalID),
			ELB: elb.NewFromConfig(engine.Config(cfg, role, config.ExternalID)), Engine: e,
			Question: question, Ranges: ranges.Merged(), Patience: setupPatience, ByList: c.PrefixList,
			RulesPerGroup: config.RulesPerGroup, GroupsPerInterface: engine.DefaultGroupsPerInterface,
		},
		doc: document.NewSetup(c.origin, c.ports, config.Selection, e.Targets[0], ranges.Published),
	}
	r.doc.Undo, r.doc.DryRun = c.Undo, c.DryRun
	if c.Undo {
		r.Setup.RulesPerGroup = engine.DefaultRulesPerGroup // no room is needed to take something back
		return r, nil
	}
	r.askQuotas(ctx, config, func() (int, error) {
		return engine.GroupsPerInterface(ctx, engine.Config(cfg, role, config.ExternalID))
	})
	return r, nil
}

// setupPatience is how long a setup waits for AWS to show what was done: groups
// are attached to the interfaces of a load balancer one after the other.
var setupPatience = time.Minute

// askQuotas asks for the quotas, as far as they matter, and notes those that
// cannot be asked for.
func (r *setupRun) askQuotas(ctx context.Context, config config.Config, groupsPerInterface func() (int, error)) {
	var err error
	if config.RulesPerGroup == 0 {
		if r.Setup.RulesPerGroup, err = r.Engine.Targets[0].Quota(ctx); err != nil {
			r.Setup.RulesPerGroup = engine.DefaultRulesPerGroup
			r.doc.Note("The quota of rules per group is not known, assuming %d: grant servicequotas:GetServiceQuota or use --rules-per-group (%v).", r.Setup.RulesPerGroup, err)
		}
	}
	if r.origin.Kind != setup.LoadBalancer { // that has five, whatever the quota
		var groups int
		if groups, err = groupsPerInterface(); err != nil {
			r.doc.Note("The quota of groups per network interface is not known, assuming %d: grant servicequotas:GetServiceQuota (%v).", r.GroupsPerInterface, err)
			return
		}
		r.GroupsPerInterface = groups
	}
}

// setup lets CloudFront in, verifies that, and closes what is open to the world
// if that is wanted.
func (r *setupRun) setup(ctx context.Context) error {
	state, plan, err := r.look(ctx)
	if err != nil {
		return err
	}
	r.doc.Planned(plan.Steps)
	r.doc.CountRules(plan.Rules[secgroup.IPv4], plan.Rules[secgroup.IPv6])
	r.doc.Notes = append(r.doc.Notes, plan.Notes...)
	r.doc.Opened(r.world)
	if err := r.show(plan.Steps); err != nil || r.DryRun {
		return err
	}
	if len(plan.Steps) > 0 && !r.Yes && !ask(r.t, r.in, "Apply %s?", countOf(len(plan.Steps), "step", "steps")) {
		return errSetupDeclined
	}
	if err := r.take(ctx, state, plan.Steps); err != nil {
		return err
	}
	if err := r.verify(ctx); err != nil {
		return err
	}
	if r.doc.ForOwner == nil {
		if err := r.closeWorld(ctx); err != nil {
			return err
		}
		r.doc.ForOwner = r.Narrowing(state, r.world)
	}
	r.doc.Leave(r.world, r.Stack, len(r.Service)+len(r.Within)+len(r.Family) > 0 || r.TagKey != "")
	return r.showEnd()
}

// look finds out what there is and what is to be done.
func (r *setupRun) look(ctx context.Context) (*setup.State, *setup.Plan, error) {
	defer r.t.progress("looking at the origin …")()
	state, err := r.Look(ctx)
	if err != nil {
		return nil, nil, err
	}
	r.doc.See(state)
	plan, err := r.Propose(ctx, state)
	if err != nil {
		return nil, nil, err
	}
	r.world, err = r.Openings(ctx, state)
	return state, plan, err
}

// errSetupDeclined says that the answer was no.
var errSetupDeclined = errors.New("nothing was changed")

// take takes steps and tells of each on stderr.
func (r *setupRun) take(ctx context.Context, state *setup.State, steps []setup.Step) error {
	taken := 0
	return r.Take(ctx, state, steps, func(step setup.Step) {
		taken++
		r.doc.Taken(step)
		fmt.Fprintf(r.t.err, "%d of %d: %s %s: %s\n", taken, len(steps), step.Action, step.On, step.Detail)
	})
}

// verify holds each interface against what is wanted.
func (r *setupRun) verify(ctx context.Context) error {
	defer r.t.progress("checking each network interface …")()
	report, state, err := r.Verify(ctx)
	if err != nil {
		return err
	}
	r.doc.See(state)
	switch r.doc.Verdict = report.Verdict; {
	case report.Verdict == coverage.Open:
	case state.ByList && len(state.Lists) > 0: // they are filled, and the rest is for the owner to do
		handover := r.Handover(state)
		r.doc.ForOwner = &handover
	default:
		return r.NotOpen(report)
	}
	r.world, err = r.Openings(ctx, state)
	return err
}

// closeWorld closes what is open to the world, after a question of its own.
func (r *setupRun) closeWorld(ctx context.Context) error {
	r.doc.Opened(r.world)
	if err := r.showVerified(); err != nil {
		return err
	}
	var closable []setup.Opening
	for _, o := range r.world {
		if o.Advice == "" {
			closable = append(closable, o)
		}
	}
	if len(closable) == 0 {
		return nil
	}
	if !r.CloseWorld && (r.Yes || !ask(r.t, r.in, "Close %s? CloudFront gets in without.", countOf(len(closable), "rule that is open to the world", "rules that are open to the world"))) {
		return nil
	}
	// An answer may take an hour: it is looked again.
	state, steps, err := r.Closing(ctx, closable)
	if err != nil {
		return err
	}
	if err := r.take(ctx, state, steps); err != nil {
		return err
	}
	closed := r.doc.OpenToWorld
	if err := r.verify(ctx); err != nil {
		return err
	}
	r.doc.Opened(r.world)
	r.doc.Closed(closed)
	return nil
}

// undo takes back what setups have made.
func (r *setupRun) undo(ctx context.Context) error {
	state, plan, err := r.proposeUndo(ctx)
	if err != nil {
		return err
	}
	r.doc.Planned(plan.Steps)
	r.doc.ShutOut = append([]string{}, plan.ShutOut...)
	if err := r.show(plan.Steps); err != nil || r.DryRun {
		return err
	}
	if len(plan.ShutOut) > 0 {
		r.warnShutOut(plan.ShutOut)
		if r.Yes {
			return hint.New(fmt.Sprintf("nothing was undone: it would shut CloudFront out at %s, and --yes does not confirm that", words.Few(plan.ShutOut)),
				"let CloudFront in through another group first, or answer on a terminal")
		}
		if !ask(r.t, r.in, "Shut CloudFront out?") {
			return errSetupDeclined
		}
	}
	if len(plan.Steps) > 0 && !r.Yes {
		if !ask(r.t, r.in, "Undo what setup did, in %s?", countOf(len(plan.Steps), "step", "steps")) {
			return errSetupDeclined
		}
		// An answer may take an hour: it is looked again.
		_, now, err := r.proposeUndo(ctx)
		if err != nil {
			return err
		}
		if !slices.Equal(now.ShutOut, plan.ShutOut) {
			return hint.New("the origin has changed in the meantime, and undoing this may shut CloudFront out: nothing was changed", "run it again")
		}
	}
	if err := r.take(ctx, state, plan.Steps); err != nil {
		return err
	}
	return r.showEnd()
}

func (r *setupRun) proposeUndo(ctx context.Context) (*setup.State, *setup.UndoPlan, error) {
	defer r.t.progress("looking at the origin …")()
	state, plan, err := r.ProposeUndo(ctx)
	if err == nil {
		r.doc.Ports = document.PortNames(r.Ports)
		r.doc.See(state)
	}
	return state, plan, err
}
