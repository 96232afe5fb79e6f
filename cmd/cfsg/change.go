package main

import (
	"context"

	"cloudfront-sg-sync/internal/engine"
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

// propose plans what a request asks for, and changes nothing. It fails if there is no group to work on.
func propose(ctx context.Context, t terminal, e *engine.Engine, req engine.Request) (*engine.Proposal, error) {
	defer t.progress("reading the ranges and the security groups …")()
	p, err := e.Propose(ctx, req)
	if err != nil {
		return nil, err
	}
	return p, p.Untagged(ctx)
}
