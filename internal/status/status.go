// Package status finds out what stands around managed groups: what a plan does not need to know, and what decides
// whether CloudFront gets in, and who else.
package status

import (
	"context"
	"errors"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"

	"golang.org/x/sync/errgroup"
)

// Surroundings are what stands around the managed groups of a target.
type Surroundings struct {
	Stray    []secgroup.StrayTag
	StrayErr error // why the stray tags are not known
	// Exposures open managed ports to the world, those of managed groups first.
	Exposures []Exposure
	// Partial are the network interfaces that have only part of a pool.
	Partial []PartialPool
	// Door judges the network interfaces that have a managed group; nil if there are none, or they are not known.
	Door *door.Report
	// Err says why the network interfaces, and what is attached to them along with managed groups, are not known.
	Err error

	// subjects are the network interfaces of the managed groups, and of the other groups there that open a managed port
	// to the world, each with all its groups.
	subjects []door.Subject
	// managed counts those that have a managed group; they are the first of the subjects.
	managed int
}

// targetsAtOnce bounds how many targets are looked at at the same time.
const targetsAtOnce = 8

// Look finds what stands around the managed groups of each target that could be read, in the order of the proposal's
// previews. The question says what has to get in.
func Look(ctx context.Context, p *engine.Proposal, q door.Question) []Surroundings {
	found := make([]Surroundings, len(p.Previews))
	var running errgroup.Group
	running.SetLimit(targetsAtOnce)
	for i, v := range p.Previews {
		if v.Err != nil {
			continue
		}
		running.Go(func() error {
			found[i] = lookAt(ctx, p, v, q)
			return nil
		})
	}
	_ = running.Wait() // failures are in what is found
	return found
}

func lookAt(ctx context.Context, p *engine.Proposal, v engine.Preview, q door.Question) Surroundings {
	var s Surroundings
	api := v.Target.EC2
	s.Stray, s.StrayErr = secgroup.FindStrayTags(ctx, api, p.TagKey)
	ports := managedPorts(v.Pools)
	if s.subjects, s.Err = door.Attached(ctx, api, v.Groups); s.Err != nil {
		s.Exposures = exposures(v, nil, ports)
	} else {
		s.managed = len(s.subjects)
		s.Exposures = exposures(v, s.subjects, ports)
		s.Err = errors.Join(s.addInterfaces(ctx, api), s.judgeDoors(ctx, api, q))
	}
	s.Partial = partialPools(s.subjects, v.Pools)
	s.judge(p, v, ports)
	return s
}
