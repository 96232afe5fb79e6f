package status

import (
	"context"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/secgroup"
)

// judgeDoors judges the network interfaces of the managed groups. It reads the entries of prefix lists only where they
// may matter.
func (s *Surroundings) judgeDoors(ctx context.Context, api door.API, q door.Question) error {
	scene := &door.Scene{Subjects: s.subjects[:s.managed]}
	if len(scene.Subjects) == 0 {
		return nil
	}
	refers := func(r secgroup.Rule) bool { return strings.HasPrefix(r.Source.Reference, "pl-") }
	if slices.ContainsFunc(scene.Subjects, func(subject door.Subject) bool {
		return slices.ContainsFunc(subject.Groups, func(g secgroup.Group) bool { return slices.ContainsFunc(g.Ingress, refers) })
	}) {
		var ids []string
		for _, subject := range scene.Subjects {
			ids = append(ids, subject.Interface.ID)
		}
		var err error
		if scene, err = door.Discover(ctx, api, door.Selector{Interfaces: ids}); err != nil {
			return err
		}
	}
	s.Door = door.Judge(scene, q)
	return nil
}

// Managed counts the network interfaces that have a managed group.
func (s *Surroundings) Managed() int { return s.managed }

// At returns how the interfaces stand that have a group of a pool.
func (s *Surroundings) At(pool secgroup.PoolPlan) []door.SubjectReport {
	if s.Door == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Door.Subjects), func(subject door.SubjectReport) bool {
		return !slices.ContainsFunc(pool.Groups, func(g secgroup.GroupPlan) bool {
			return slices.ContainsFunc(subject.Groups, func(at door.GroupID) bool { return at.ID == g.Group.ID })
		})
	})
}
