package main

import (
	"context"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/status"
)

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

// propose plans what a request asks for, looks at what stands around the groups, and changes nothing. It fails if there
// is no group to work on.
func (m *managed) propose(ctx context.Context, t terminal, req engine.Request) (*engine.Proposal, []status.Surroundings, error) {
	defer t.progress("reading the ranges and the security groups …")()
	p, err := m.Propose(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	ranges, err := m.ranges()
	if err != nil {
		return nil, nil, err
	}
	question, err := questionOf(m.config, ranges, nil)
	if err != nil {
		return nil, nil, err
	}
	return p, status.Look(ctx, p, question), p.Untagged(ctx)
}
