package main

import (
	"bufio"
	"cmp"
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
	if c.Port == nil && !c.Undo && c.origin.Kind != setup.LoadBalancer { // whose listeners are named
		return hint.New("--port is missing", "name the ports that CloudFront connects to, such as --port 443")
	}
	if c.Undo && (c.CloseWorld || c.PrefixList) {
		return hint.New("--undo takes back what setups have made, groups and lists alike", "leave out --close-world and --prefix-list")
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
	return c.origin.Validate()
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

// A setupRun is a setup under way.
type setupRun struct {
	*setupCommand
	*setup.Setup
	t     terminal
	in    *bufio.Reader
	doc   *document.Setup
	state *setup.State // as it was seen last
	page  *page.Page   // for a person: nobody sees it where JSON is wanted
	taken int          // how many steps were taken
}

// setup lets CloudFront in, verifies that, and then closes rules that are open to the world, if that is wanted.
func (r *setupRun) setup(ctx context.Context) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	steps := len(r.doc.Steps)
	r.doc.RulesPerPort = &engine.PerFamily{IPv4: r.Rules[secgroup.IPv4], IPv6: r.Rules[secgroup.IPv6]}
	r.doc.Settings.Compare(document.MadeFor(r.Engine.TagKey, r.state.Created))
	if err := r.doc.Settings.Refuse(); err != nil && steps > 0 {
		return err
	}
	if r.show(); r.DryRun && steps > 0 {
		return nil
	}
	if steps > 0 && !r.Yes {
		if err := ask(ctx, r.t, r.in, "Apply %s?", words.Count(steps, "step")); err != nil {
			return err
		}
	}
	if err := r.take(ctx, r.doc.Steps); err != nil {
		return err
	}
	if err := r.verify(ctx); err != nil {
		return err
	}
	if r.doc.ForOwner == nil {
		if err := r.closeWorld(ctx); err != nil {
			return err
		}
		r.doc.ForOwner = r.Narrowing(r.state, r.doc.OpenToWorld)
	}
	again := "Run this again"
	if r.DryRun {
		again += " without --dry-run"
	}
	if !r.CloseWorld {
		again += " and answer yes, or use --close-world"
	}
	own := len(r.Service)+len(r.setupCommand.Within)+len(r.Family) > 0 || r.setupCommand.TagKey != ""
	r.doc.Leave(r.Stack, own, again+".", r.state.OwnerNote)
	r.showLeft()
	return nil
}

// portMissing names the ports that the load balancer listens on.
func (r *setupRun) portMissing(ctx context.Context) error {
	state, err := r.Read(ctx)
	if err != nil {
		return err
	}
	ports := strings.Join(secgroup.PortNames(state.Listening), ",")
	r.Port = []string{cmp.Or(ports, "443")} // for the next command
	return hint.New("--port is missing", fmt.Sprintf("%s listens on %s: name the ports that CloudFront connects to, such as --port %s", r.Origin, cmp.Or(ports, "no port"), r.Port[0]))
}

// read reads the origin, and proposes steps.
func (r *setupRun) read(ctx context.Context) (err error) {
	defer r.t.progress("looking at the origin …")()
	if r.state, err = r.Read(ctx); err != nil {
		return err
	}
	r.doc.See(r.state)
	steps, err := r.Propose(ctx, r.state)
	if r.doc.Notes = slices.Concat(r.state.Notes, r.doc.Notes); err != nil {
		return err
	}
	r.doc.Steps = steps
	r.doc.OpenToWorld, err = r.Openings(ctx, r.state)
	return err
}

// take takes steps and names each on stderr.
func (r *setupRun) take(ctx context.Context, steps []setup.Step) error {
	before := r.taken
	return r.Take(ctx, r.state, steps, func(step setup.Step) {
		r.taken++
		fmt.Fprintf(r.t.err, "%d of %d: %s %s: %s\n", r.taken-before, len(steps), step.Action, step.On, step.Detail)
	})
}

// verify checks each interface, and the whole way to it and on from it.
func (r *setupRun) verify(ctx context.Context) error {
	defer r.t.progress("checking each network interface …")()
	report, state, err := r.Verify(ctx)
	if err != nil {
		return err
	}
	r.state = state
	r.doc.See(state)
	switch r.doc.Verdict = report.Verdict; {
	case report.Verdict == door.Open:
	case state.ByList && len(state.Lists()) > 0: // they are filled, and the rest is for the owner to do
		r.doc.ForOwner = r.Handover(state)
	default:
		return r.NotOpen(report)
	}
	if r.doc.Door, err = r.Judge(ctx, state); err != nil {
		return err
	}
	r.doc.OpenToWorld, err = r.Openings(ctx, state)
	return err
}

// closeWorld closes the rules that are open to the world, after a question of its own.
func (r *setupRun) closeWorld(ctx context.Context) error {
	r.showVerified()
	closable := slices.DeleteFunc(slices.Clone(r.doc.OpenToWorld), func(o setup.Opening) bool { return o.Advice != "" })
	if len(closable) == 0 || r.DryRun || r.Yes && !r.CloseWorld {
		return nil
	}
	if !r.CloseWorld {
		switch err := ask(ctx, r.t, r.in, "Close %s? CloudFront gets in without.", words.CountAs(len(closable), "rule that is open to the world", "rules that are open to the world")); {
		case errors.Is(err, errDeclined):
			return nil
		case err != nil:
			return err
		}
	}
	// An answer may take an hour, so look again.
	if err := r.verify(ctx); err != nil || r.doc.ForOwner != nil {
		return err
	}
	steps := setup.Closing(r.doc.OpenToWorld, closable)
	takeErr := r.take(ctx, steps)
	r.doc.Steps = append(r.doc.Steps, slices.DeleteFunc(steps, func(step setup.Step) bool { return !step.Done })...)
	if err := r.verify(ctx); err != nil && takeErr == nil {
		return err
	}
	for _, o := range closable {
		if !slices.ContainsFunc(r.doc.OpenToWorld, o.Same) {
			o.Closed = true
			r.doc.OpenToWorld = append(r.doc.OpenToWorld, o)
		}
	}
	r.showReopen()
	return takeErr
}

// undo undoes setups of the origin.
func (r *setupRun) undo(ctx context.Context) error {
	if err := r.proposeUndo(ctx); err != nil {
		return err
	}
	r.doc.Notes = append(r.doc.Notes, r.state.Notes...)
	r.show()
	r.doc.OpenToWorld = append([]setup.Opening{}, r.state.Closed...)
	r.showReopen()
	shutOut := r.doc.ShutOut
	shut, steps := words.Few(shutOut), len(r.doc.Steps)
	if shut != "" {
		r.page.Line()
		r.page.Marked(r.page.Bad("!"), fmt.Sprintf("Without these groups part of CloudFront, or all of it, is shut out at %s: viewers get 504.", shut))
	}
	switch {
	case r.DryRun:
		return nil
	case shut != "" && r.Yes:
		return hint.New(fmt.Sprintf("nothing was undone: it would shut CloudFront out at %s, and --yes does not confirm that", shut),
			"let CloudFront in through another group first, or answer on a terminal")
	case shut != "":
		if err := ask(ctx, r.t, r.in, "Shut CloudFront out?"); err != nil {
			return err
		}
	}
	if steps > 0 && !r.Yes {
		if err := ask(ctx, r.t, r.in, "Undo what setup did, in %s?", words.Count(steps, "step")); err != nil {
			return err
		}
		// An answer may take an hour, so look again.
		if err := r.proposeUndo(ctx); err != nil {
			return err
		}
		if !slices.Equal(r.doc.ShutOut, shutOut) {
			return hint.New("the origin has changed in the meantime, and undoing this may shut CloudFront out: nothing was changed", "run it again")
		}
	}
	if err := r.take(ctx, r.doc.Steps); err != nil {
		return err
	}
	if steps > 0 {
		r.page.Line()
		r.page.Line("All that setup created is gone. Rules that it closed stay closed.")
	}
	return nil
}

func (r *setupRun) proposeUndo(ctx context.Context) error {
	defer r.t.progress("looking at the origin …")()
	state, steps, err := r.ProposeUndo(ctx)
	if err != nil {
		return err
	}
	r.state, r.doc.Steps, r.doc.ShutOut = state, steps, append([]string{}, state.ShutOut...)
	r.doc.Ports = secgroup.PortNames(r.Ports)
	r.doc.See(state)
	return nil
}

// show shows an origin as it is, and the steps.
func (r *setupRun) show() {
	w, d := r.page, r.doc
	place := fmt.Sprintf("in %v", &engine.Target{Account: d.Account, Region: d.Region})
	if len(d.Ports) > 0 {
		place = words.Ports(d.Ports) + ", " + place
	}
	w.Line(w.Strong(r.origin.String()), ", ", place)
	for _, l := range d.PrefixLists {
		w.Line(fmt.Sprintf("  prefix list  %s %s, up to %d %s entries", l.PrefixListID, l.Name, l.MaxEntries, l.Family))
	}
	for _, i := range d.Interfaces {
		writeInterface(w.In(2), i.Interface)
		w.In(4).Fact("groups", 8, ", ", words.Strings(i.Groups)...)
	}
	if d.RulesPerPort != nil {
		w.Line()
		w.Say("%s as published %s: %d IPv4 and %d IPv6 rules a port", iprange.Selection{Services: d.Services, Within: d.Within},
			d.PublishedAt.Format(time.RFC3339), d.RulesPerPort.IPv4, d.RulesPerPort.IPv6)
	}
	w.Line()
	for _, note := range d.Notes {
		w.Marked(w.Quiet("–"), note)
	}
	if len(d.Notes) > 0 {
		w.Line()
	}
	switch {
	case len(d.Steps) > 0:
		var rows [][]string
		for i, step := range d.Steps {
			rows = append(rows, page.Row(i+1, step.Action, step.On, step.Detail))
		}
		w.Table([]string{"", "step", "on", ""}, rows)
	case r.Undo:
		w.Line("Setup has created nothing here, so there is nothing to undo.")
	case len(r.state.Created) > 0:
		w.Line("Nothing to do: all that setup created is up to date.")
	default:
		w.Line("Nothing to do.")
	}
	if !r.Undo && len(d.Steps) > 0 {
		w.Line()
		w.Say("These steps close nothing that is wanted. After them, each network interface is checked.")
	}
	if len(d.Steps) > 0 || r.DryRun { // otherwise it comes right after this
		r.showWorld()
	}
}

func (r *setupRun) showWorld() {
	if len(r.doc.OpenToWorld) == 0 {
		return
	}
	w, in := r.page, r.page.In(2)
	w.Line()
	w.Line(w.Bad("OPEN TO THE WORLD"), ": anyone who finds the origin can bypass CloudFront and its WAF.")
	closable := false
	for _, o := range r.doc.OpenToWorld {
		in.Line(o.String())
		if closable = closable || o.Advice == ""; o.Advice != "" {
			in.Marked(" ", o.Advice)
		}
	}
	if !closable {
		return
	}
	w.Marked(w.Warn("!"), acme)
	if r.doc.Verdict != "" {
		return // the question is next
	}
	switch {
	case r.CloseWorld:
		w.Say("Once CloudFront gets in without them, setup closes those that can be closed.")
	case r.Yes:
		w.Say("Once CloudFront gets in without them, use --close-world to close those that can be closed.")
	default:
		w.Say("Once CloudFront gets in without them, you are asked whether to close those that can be closed.")
	}
}

// acme warns of certificates that are renewed through the door that is about to be closed. See
// https://letsencrypt.org/docs/challenge-types/
const acme = "If the origin renews a certificate by ACME (Let's Encrypt) over port 80 (HTTP-01) or 443 (TLS-ALPN-01), closing stops that, " +
	"and weeks later every request is a 502: use DNS-01 or a certificate of ACM first."

// showVerified shows that everything wanted gets in, and the rules that are open to the world.
func (r *setupRun) showVerified() {
	format := "All of %s gets in at %s through rules that are not open to the world."
	if r.doc.Door.Mark == document.Failed {
		format = "The security groups let all of %s in at %s through rules that are not open to the world, but they are not the whole way."
	}
	r.page.Line()
	r.page.Line(fmt.Sprintf(format, strings.Join(r.doc.Services, ", "), words.Count(len(r.doc.Interfaces), "network interface")))
	if !r.DryRun { // which has shown them
		r.showWorld()
	}
}

// showReopen shows the commands that open again the rules that were closed.
func (r *setupRun) showReopen() {
	shown := false
	for i, o := range r.doc.OpenToWorld {
		if !o.Closed {
			continue
		}
		if !shown {
			r.page.Line()
			r.page.Say("Setup has closed rules that were open to the world. To open them again:")
			shown = true
		}
		o.Reopen = r.ruleCommand("authorize", r.doc.Region, o.Group.ID, o.Rule.RuleID, o.Rule.Description)
		r.page.In(2).Command(shellWords(o.Reopen)...)
		r.doc.OpenToWorld[i] = o
	}
}

func (r *setupRun) showLeft() {
	w := r.page
	w.Line()
	w.Line("Left to do:")
	if h := r.doc.ForOwner; h != nil {
		w.Marked("–", h.Text)
		for _, line := range h.Paste {
			w.Line("    " + line)
		}
	}
	for _, left := range r.doc.Left {
		w.Marked("–", left)
	}
}
