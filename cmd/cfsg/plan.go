package main

import (
	"context"
	"errors"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"

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
	if c.json() {
		err = document.Write(t.out, doc)
	} else {
		err = errors.Join(writePlan(t, doc, c.Verbose), endPage(t, doc.Judgement))
	}
	if err != nil {
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
	*managed
	*engine.Proposal
	around []document.Surroundings
}

// propose plans a request and looks at the surroundings of the groups. It changes nothing, and fails if there is no
// group to work on.
func (f accountFlags) propose(ctx context.Context, t terminal, flags map[string]given, req engine.Request) (*proposal, error) {
	m, err := f.managed(ctx, t, flags)
	if err != nil {
		return nil, err
	}
	defer t.progress("reading the ranges and the security groups …")()
	p := &proposal{managed: m}
	if p.Proposal, err = m.Propose(ctx, req); err != nil {
		return nil, err
	}
	ranges, err := m.ranges()
	if err != nil {
		return nil, err
	}
	question, err := questionOf(m.config, ranges, nil)
	if err != nil {
		return nil, err
	}
	p.around = lookAround(ctx, p.Proposal, question)
	return p, p.Untagged(ctx)
}
