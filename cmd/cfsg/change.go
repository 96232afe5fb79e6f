package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
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

// A proposal is what a sync would do.
type proposal struct {
	engine      *engine.Engine
	publication *iprange.Publication
	previews    []engine.Preview
	request     engine.Request
}

// propose plans what a request asks for, and changes nothing.
func propose(ctx context.Context, t terminal, o *operation, req engine.Request) (*proposal, error) {
	defer t.progress("reading the ranges and the security groups …")()
	publication, previews, err := o.Preview(ctx, req)
	if err != nil {
		return nil, err
	}
	p := &proposal{o.Engine, publication, previews, req}
	if err := p.untagged(ctx, o); err != nil {
		return nil, err
	}
	return p, nil
}

// untagged fails where there is no group to work on, and names those whose tags
// were meant to say so.
func (p *proposal) untagged(ctx context.Context, o *operation) error {
	var places []string
	for _, v := range p.previews {
		if v.Err == nil && len(v.Groups) == 0 && len(v.Lists) == 0 && v.ListsErr == nil {
			places = append(places, v.Target.String())
		}
	}
	if len(places) < len(p.previews) {
		return nil
	}
	errs := []error{hint.New(
		fmt.Sprintf("no security group is tagged %s in %s", p.engine.TagKey, strings.Join(places, ", ")),
		fmt.Sprintf("tag one: aws ec2 create-tags --region %s --resources sg-… --tags Key=%s,Value=443", p.previews[0].Target.Region, p.engine.TagKey))}
	for _, s := range p.look(ctx, o) {
		for _, tag := range s.stray {
			errs = append(errs, errors.New(tag.String()))
		}
	}
	return errors.Join(errs...)
}

// failures returns what keeps the plans from being made or from being whole.
func (p *proposal) failures() []error {
	var errs []error
	for _, v := range p.previews {
		errs = append(errs, v.Failures(p.request)...)
	}
	return engine.OncePerRole(errs)
}

// allSteps yields the steps of all plans.
func (p *proposal) allSteps(yield func(secgroup.Step) bool) {
	for _, v := range p.previews {
		for _, pool := range v.Pools {
			for _, step := range pool.Steps {
				if !yield(step) {
					return
				}
			}
		}
	}
}

// steps counts the steps of all plans, and the changes of prefix lists.
func (p *proposal) steps() int {
	n := 0
	for range p.allSteps {
		n++
	}
	for range p.allChanges {
		n++
	}
	return n
}

// warnings says what does not keep a plan from being whole, but needs a person.
func (p *proposal) warnings() []string {
	wanted := secgroup.Stamp{Services: p.engine.Services, Within: p.engine.Within}.Cover()
	others := map[string]int{}
	for _, v := range p.previews {
		for _, g := range v.Groups {
			for _, r := range g.Ingress {
				if stamp, ok := secgroup.ParseStamp(p.engine.TagKey, r.Description); ok && stamp.Cover() != wanted {
					others[stamp.Cover()]++
				}
			}
		}
	}
	warnings := []string{}
	for _, made := range slices.Sorted(maps.Keys(others)) {
		warnings = append(warnings, fmt.Sprintf("%s made for %s, and this run is for %s: is a flag such as --service missing? --stack NAME takes the settings of the deployed function",
			countOf(others[made], "rule was", "rules were"), made, wanted))
	}
	return warnings
}

// atOrigin says what of the plans needs a person at the network interfaces: one
// that lacks something, a rule that has to stay for its sake, or that nobody may
// look.
func (p *proposal) atOrigin() []string {
	var notes []string
	for _, v := range p.previews {
		if v.Plan != nil && v.Plan.Blind {
			notes = append(notes, fmt.Sprintf("%v: without ec2:DescribeNetworkInterfaces it is not known which network interfaces have the groups, so rules that another group has replaced are not revoked: grant it", v.Target))
		}
		for _, pool := range v.Pools {
			notes = append(notes, pool.Warnings...)
			for _, eni := range pool.Interfaces {
				if eni.Lacks > 0 {
					notes = append(notes, eni.String())
				}
			}
		}
	}
	return notes
}

// quotaNotes tells where the quota of rules per group could not be asked for.
func (p *proposal) quotaNotes() []string {
	var notes []string
	for _, v := range p.previews {
		if v.QuotaErr != nil {
			notes = append(notes, fmt.Sprintf("%v: the quota of rules per group is not known, assuming %d; grant servicequotas:GetServiceQuota or use --rules-per-group (%v)",
				v.Target, v.RulesPerGroup, v.QuotaErr))
		}
	}
	return notes
}
