package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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

// propose plans a request and looks at the surroundings of the groups. It changes nothing, and fails if there is no
// group to work on.
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

// targetsAtOnce bounds how many accounts and regions are looked at at the same time.
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
	if s.Err == nil {
		s.Elsewhere, s.Err = elsewhere(ctx, api, v, s.Door)
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
	return referring, cmp.Or(err, scene.ReadLists(ctx, api, scene.Groups()))
}

// elsewhere returns, by the ID of a group that is not managed and opens a port to the world, the network interfaces
// that it has where no managed group is.
func elsewhere(ctx context.Context, api door.API, v engine.Preview, r *door.Report) (map[string][]string, error) {
	var ids []string
	for _, w := range r.OpenToWorld {
		managed := slices.ContainsFunc(v.Groups, func(g secgroup.Group) bool { return g.ID == w.Group.ID })
		if w.Group.ID != "" && !managed && !slices.Contains(ids, w.Group.ID) {
			ids = append(ids, w.Group.ID)
		}
	}
	interfaces, err := secgroup.DescribeInterfaces(ctx, api, "group-id", ids)
	found := map[string][]string{}
	for _, i := range interfaces {
		if slices.ContainsFunc(r.Subjects, func(s door.SubjectReport) bool { return s.Interface != nil && s.Interface.ID == i.ID }) {
			continue
		}
		for _, id := range i.Groups {
			if slices.Contains(ids, id) {
				found[id] = append(found[id], i.ID)
			}
		}
	}
	return found, err
}
