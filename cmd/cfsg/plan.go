package main

import (
	"context"
	"errors"
	"log/slog"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/page"

	"github.com/alecthomas/kong"
)

type planCommand struct {
	changeFlags
	DetailedExitcode bool `help:"Exit with 2 if there are changes, 0 if there is nothing to do."`
}

// errChanges makes --detailed-exitcode exit with 2. It is no failure.
var errChanges = errors.New("there are changes")

// Run shows the plan of a sync.
func (c *planCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	p, err := c.propose(ctx, t, c.given(), c.request())
	if err != nil {
		return err
	}
	doc := document.NewPlan(p.Proposal, p.around, p.settings, c.next(k))
	if err := c.print(t, doc, func(w *page.Page) { writePlan(w, doc, c.Verbose) }); err != nil {
		return err
	}
	if errs := doc.Failures(p.Proposal); len(errs) > 0 {
		return errors.Join(errs...)
	}
	if c.DetailedExitcode && (doc.Changes || doc.Mark != document.OK) {
		return errChanges
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

// A proposal is an engine's, with the surroundings of its groups.
type proposal struct {
	*engine.Proposal
	engine   *engine.Engine
	settings document.Settings
	question door.Question
	around   []document.Surroundings
}

// lookAgain sees the surroundings as they are after a run.
func (p *proposal) lookAgain(ctx context.Context) {
	now, err := p.engine.Propose(ctx, p.Request)
	if err == nil {
		p.around = surroundings(ctx, now, p.question)
		return
	}
	for i := range p.around {
		p.around[i] = document.Surroundings{Err: err}
	}
}

// propose plans a request and looks at the surroundings of the groups. It changes nothing, and fails if there is no
// group to work on. Settings that nobody names are those that all rules were made with.
func (f accountFlags) propose(ctx context.Context, t terminal, flags map[string]given, req engine.Request) (*proposal, error) {
	w, err := f.openAWS(ctx, t, flags)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	if f.Verbose {
		log = slog.New(slog.NewTextHandler(t.err, nil))
	}
	e, err := w.engine(log)
	if err != nil {
		return nil, err
	}
	defer t.progress("reading the ranges and the security groups …")()
	if w.settings.From == document.FromDefault {
		made, _ := e.Made(ctx) // what cannot be read, the plan tells
		w.settle(made)
		e.Services, e.Within = w.settings.Services, w.settings.Within
	}
	p, err := e.Propose(ctx, req)
	if err != nil {
		return nil, err
	}
	question, err := w.question(nil)
	if err != nil {
		return nil, err
	}
	return &proposal{p, e, w.settings, question, surroundings(ctx, p, question)}, p.Untagged(ctx)
}
