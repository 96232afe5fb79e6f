package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/approach"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"golang.org/x/sync/errgroup"
)

type planCommand struct {
	changeFlags
	DetailedExitcode bool `help:"Exit with 2 if there are changes, 0 if there is nothing to do."`
}

// errChanges makes --detailed-exitcode exit with 2. It is no failure.
var errChanges = errors.New("there are changes")

// Run shows the plan of a sync.
func (c *planCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	p, err := c.propose(ctx, t, k, c.given(), c.request())
	if err != nil {
		return err
	}
	doc := document.NewPlan(p)
	switch err := c.print(t, doc, func(w *page.Page) { writePlan(w, doc, c.Verbose) }); {
	case err != nil:
		return err
	case doc.Err != nil:
		return doc.Err
	case c.DetailedExitcode && (doc.Changes || doc.Mark != document.OK):
		return errChanges
	case doc.Mark == document.Failed && !doc.Changes:
		return c.failed(doc.Judgement)
	}
	return nil
}

// accountFlags say in which accounts and regions a command works, and on which groups.
type accountFlags struct {
	placeFlags
	RulesPerGroup string `placeholder:"N" help:"The quota of rules per group (default auto: ask Service Quotas)."`
	Verbose       bool   `short:"v" help:"Log to stderr."`
}

func (f accountFlags) given() map[string]given {
	values := f.placeFlags.given()
	give(values, "RULES_PER_GROUP", "--rules-per-group", f.RulesPerGroup)
	return values
}

// changeFlags say what to change, and how far.
type changeFlags struct {
	accountFlags
	outputFlags
	MaxRevokePercent string   `placeholder:"N" help:"Hold all revokes back where more than N% of the rules would lose addresses (default 50)."`
	Force            bool     `help:"Revoke, however many rules lose addresses."`
	Group            []string `placeholder:"ID" help:"The only group to change; repeatable."`
}

func (f changeFlags) given() map[string]given {
	values := f.accountFlags.given()
	give(values, "MAX_REVOKE_PERCENT", "--max-revoke-percent", f.MaxRevokePercent)
	return values
}

func (f changeFlags) request() engine.Request {
	return engine.Request{Force: f.Force, GroupIDs: f.Group, Look: true}
}

// propose plans a request and reads the surroundings of the groups. It changes nothing, and fails if there is no group
// to work on.
func (f accountFlags) propose(ctx context.Context, t terminal, k *kong.Context, flags map[string]given, req engine.Request) (*document.Proposal, error) {
	w, err := f.open(ctx, t, flags)
	if err == nil {
		w.aws, err = f.awsConfig(ctx, w.Regions...)
	}
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	if f.Verbose {
		log = slog.New(slog.NewTextHandler(t.err, nil))
	}
	defer t.progress("reading the ranges and the security groups …")()
	e, err := w.engine(log)
	if err != nil {
		return nil, err
	}
	_ = w.infer(ctx, e) // the plan names whatever cannot be read
	p, err := e.Propose(ctx, req)
	if err != nil {
		return nil, err
	}
	question, err := w.question(nil)
	if err != nil {
		return nil, err
	}
	var seen []secgroup.Holder
	for _, v := range p.Previews {
		seen = append(seen, v.Holders...)
	}
	w.settings.Compare(document.MadeFor(p.TagKey, seen))
	around := surroundings(ctx, p, question)
	return &document.Proposal{Proposal: p, Question: question, Around: around, Settings: w.settings, Next: next(k)}, untagged(p, around)
}

// untagged returns an error if there is nothing to work on in any target. It names the tags that were meant for this
// tool.
func untagged(p *engine.Proposal, around []document.Surroundings) error {
	var places []string
	for _, v := range p.Previews {
		if nothing := v.Err == nil && v.ListsFailure() == nil && len(v.Groups)+len(v.Lists) == 0; !nothing {
			return nil
		}
		places = append(places, v.Target.String())
	}
	errs := []error{hint.New(
		fmt.Sprintf("no security group is tagged %s in %s", p.TagKey, strings.Join(places, ", ")),
		fmt.Sprintf("tag one: aws ec2 create-tags --region %s --resources sg-… --tags Key=%s,Value=443", p.Previews[0].Target.Region, p.TagKey))}
	for _, at := range around {
		for _, tag := range at.Stray {
			errs = append(errs, errors.New(tag.String()))
		}
	}
	return errors.Join(errs...)
}

// surroundings finds out who gets in at the managed groups of each target that could be read, in the order of the
// proposal's previews.
func surroundings(ctx context.Context, p *engine.Proposal, q door.Question) []document.Surroundings {
	all := make([]document.Surroundings, len(p.Previews))
	var running errgroup.Group
	running.SetLimit(targetsAtOnce)
	for i, v := range p.Previews {
		if v.Err != nil {
			continue
		}
		running.Go(func() error {
			all[i] = surroundingsOf(ctx, v, q)
			return nil
		})
	}
	_ = running.Wait() // failures are in what is found
	return all
}

// targetsAtOnce bounds how many accounts and regions are read at the same time.
const targetsAtOnce = 8

// surroundingsOf finds out who gets in at the managed groups of a target.
func surroundingsOf(ctx context.Context, v engine.Preview, q door.Question) document.Surroundings {
	var s document.Surroundings
	api := v.Target.EC2
	s.Stray, s.StrayErr = secgroup.FindStrayTags(ctx, api, q.TagKey)
	scene, err := door.Around(ctx, api, v.Plan, func(string, secgroup.RuleID) bool { return false }, true)
	if v.Plan.Blind {
		err = cmp.Or(err, errors.New("grant the permission ec2:DescribeNetworkInterfaces"))
	}
	if err == nil {
		s.Referring, err = refer(ctx, api, v, scene)
	}
	cfg := v.Target.Config
	reader := approach.NewClient(api, ec2.NewFromConfig(cfg), elb.NewFromConfig(cfg))
	s.Err = cmp.Or(err, reader.Complete(ctx, scene))
	s.Door = door.Judge(scene, q)
	var open []string // the groups that are not managed and open a port to the world
	for _, w := range s.Door.OpenToWorld {
		if w.Group.ID != "" && !slices.ContainsFunc(v.Groups, func(g secgroup.Group) bool { return g.ID == w.Group.ID }) {
			open = append(open, w.Group.ID)
		}
	}
	if s.Err == nil {
		s.Elsewhere, s.Err = secgroup.DescribeInterfaces(ctx, api, "group-id", open)
		s.Elsewhere = slices.DeleteFunc(s.Elsewhere, func(i door.Interface) bool { return scene.Has(i.ID) })
	}
	return s
}

// refer adds to a scene the network interfaces at which groups refer to prefix lists of a plan. It returns these groups
// by the IDs of the lists.
func refer(ctx context.Context, api door.API, v engine.Preview, scene *door.Scene) (map[string][]door.GroupID, error) {
	referring := map[string][]door.GroupID{}
	var lists []string
	for _, pool := range v.Lists {
		lists = append(lists, pool.Name)
	}
	groups, err := secgroup.Referring(ctx, api, lists)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		for _, r := range g.Ingress {
			id, list := door.GroupID{ID: g.ID, Name: g.Name}, r.Source.Reference
			if slices.Contains(lists, list) && !slices.Contains(referring[list], id) {
				referring[list] = append(referring[list], id)
			}
		}
	}
	attached, err := door.Attached(ctx, api, groups)
	for _, subject := range attached {
		if !scene.Has(subject.Interface.ID) {
			scene.Subjects = append(scene.Subjects, subject)
		}
	}
	return referring, cmp.Or(err, scene.ReadLists(ctx, api, scene.Subjects))
}

type applyCommand struct {
	changeFlags
	Yes bool `short:"y" help:"Do not ask."`
}

// Run shows the plan of a sync, asks, and applies it.
func (c *applyCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	if !c.Yes {
		if err := canAsk(t, c.outputFlags, c.rangeFlags, "use --yes; cfsg plan shows what would be done"); err != nil {
			return err
		}
	}
	p, err := c.propose(ctx, t, k, c.given(), c.request())
	if err != nil {
		return err
	}
	plan := document.NewPlan(p)
	if err := p.Settings.Refuse(); err != nil {
		report := engine.NewReport(false)
		report.SyncToken, report.PublishedAt = plan.SyncToken, plan.PublishedAt
		doc := document.NewApply(report, p, err)
		doc.Next = p.Next("plan", p.Settings.Flags()...)
		return errors.Join(err, c.print(t, doc, func(*page.Page) {}))
	}
	if !c.json() {
		w := page.New(t.out, colorful(t.out))
		if writePlan(w, plan, c.Verbose); w.Err() != nil {
			return w.Err()
		}
	}
	if plan.Changes && !c.Yes {
		for _, err := range p.Failures {
			printError(t, err)
		}
		if err := ask(ctx, t, bufio.NewReader(t.in), "Apply %s?", words.Count(len(p.Steps()), "step")); err != nil {
			return err
		}
	}
	report, err := takeSteps(ctx, t, p)
	if report.Changed {
		refreshSurroundings(ctx, p)
	}
	doc := document.NewApply(report, p, err)
	if err == nil && doc.Mark == document.Failed {
		err = c.failed(doc.Judgement)
	}
	return errors.Join(err, c.print(t, doc, func(w *page.Page) {
		if plan.Changes {
			writeReport(w, report, c.Verbose)
		}
	}))
}

// refreshSurroundings reads the surroundings again after a run.
func refreshSurroundings(ctx context.Context, p *document.Proposal) {
	now, err := p.Propose(ctx, p.Request)
	if err == nil {
		p.Around = surroundings(ctx, now, p.Question)
		return
	}
	for i := range p.Around {
		p.Around[i] = document.Surroundings{Err: err}
	}
}

// takeSteps takes the steps of a proposal, names each on stderr, and returns the report of the run.
func takeSteps(ctx context.Context, t terminal, p *document.Proposal) (*engine.Report, error) {
	req := p.Approved()
	steps, names := len(p.Steps()), map[string]string{}
	for _, v := range p.Previews {
		for _, h := range v.Holders {
			names[h.ID] = h.Name
		}
	}
	var mu sync.Mutex // pools and targets are applied side by side
	taken := 0
	req.OnStep = func(_ *engine.Target, step secgroup.Step) {
		mu.Lock()
		defer mu.Unlock()
		taken++
		fmt.Fprintf(t.err, "%d of %d: %s %s\n", taken, steps, step.Done(), names[step.HolderID])
	}
	report, err := p.Run(ctx, req)
	switch {
	case taken >= steps:
	case ctx.Err() != nil:
		err = hint.New(fmt.Sprintf("stopped after %d of %s", taken, words.Count(steps, "step")), "run cfsg apply again for the rest")
	case err == nil:
		fmt.Fprintln(t.err, "cfsg: somebody else, such as the function, did the rest in the meantime")
	}
	return report, err
}

// writeReport shows the function's report to a person.
func writeReport(w *page.Page, r *engine.Report, all bool) {
	w.Line()
	w.Line(fmt.Sprintf("Applied, as published %s: %s added, %d revoked, in %d of %s.", r.PublishedAt.Format(time.RFC3339),
		words.Count(r.Summary.Added, "rule"), r.Summary.Revoked, r.Summary.Changed, words.Count(r.Summary.Groups, "group")))
	if lists := r.Lists(); lists.Groups > 0 {
		w.Line(fmt.Sprintf("Prefix lists: %s added, %d removed, in %d of %d.", words.Count(lists.Added, "entry"), lists.Revoked, lists.Changed, lists.Groups))
	}
	if len(r.Groups)+len(r.PrefixLists) > mostShown && !all {
		return // -o json has them, and --verbose
	}
	var groups, lists [][]string
	for _, g := range r.Groups {
		groups = append(groups, page.Row(place(g.Account, g.Region), g.GroupID, g.Name, ports(w, g.Ports, g.Error), g.Added, g.Revoked, g.Kept, g.Foreign))
	}
	for _, l := range r.PrefixLists {
		lists = append(lists, page.Row(place(l.Account, l.Region), l.PrefixListID, l.Name, l.Family, l.Added, l.Removed, l.Kept, l.Foreign))
	}
	w.Section([]string{"region", "group", "name", "ports", "added", "revoked", "kept", "foreign"}, groups)
	w.Section([]string{"region", "prefix list", "name", "family", "added", "removed", "kept", "foreign"}, lists)
}

// place names a region, and the account if it is another one's.
func place(account, region string) string { return strings.TrimSpace(account + " " + region) }
