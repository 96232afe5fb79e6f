package main

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"cloudfront-sg-sync/internal/approach"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"golang.org/x/sync/errgroup"
)

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
	cfg := v.Target.Config
	reader := approach.NewClient(api, ec2.NewFromConfig(cfg), elb.NewFromConfig(cfg))
	s.Err = cmp.Or(err, reader.Complete(ctx, scene))
	s.Door = door.Judge(scene, q)
	if s.Err == nil {
		s.Elsewhere, s.Err = elsewhere(ctx, api, v, s.Door)
	}
	return s
}

// elsewhere returns, by the ID of a group that is not managed and opens a port to the world, the network interfaces
// that it has where no managed group is.
func elsewhere(ctx context.Context, api door.AttachmentAPI, v engine.Preview, r *door.Report) (map[string][]string, error) {
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
