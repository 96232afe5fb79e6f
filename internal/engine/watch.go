package engine

import (
	"context"
	"fmt"
	"slices"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/secgroup"
)

// warnOfStray warns of tags that do nothing. It finds mistyped ones only if it may ask EC2 for them.
func (e *Engine) warnOfStray(ctx context.Context, tr *targetRun, ask bool) {
	stray := tr.stray
	if ask {
		found, err := secgroup.FindStrayTags(ctx, tr.Target.EC2, e.TagKey)
		if err != nil {
			tr.warn(fmt.Sprintf("cannot look for mistyped tags: %v", err))
		} else {
			stray = found
		}
	}
	for _, tag := range stray {
		tr.warn(tag.String())
	}
}

// warnOfWorld warns of rules that are open to the world.
func (e *Engine) warnOfWorld(ctx context.Context, tr *targetRun, req Request) {
	changes := map[string][]Change{} // by ID of the holder
	for _, o := range tr.outcomes {
		if !req.DryRun {
			changes[o.plan.ID] = o.changes
		}
	}
	gone := func(holder string, id secgroup.RuleID) bool {
		return slices.Contains(changes[holder], Change{id, false})
	}
	scene, err := door.Around(ctx, tr.Target.EC2, tr.Plan, gone, req.Look)
	tr.sawWorld = err == nil
	if err != nil {
		tr.warn(fmt.Sprintf("cannot see what is open to the world: %v", err))
	}
	for _, unread := range scene.Unread() {
		tr.warn(unread)
	}
	at := tr.Plan.Attachments
	looked := at != nil && !at.Unknown
	for _, w := range door.World(scene, e.TagKey, nil) {
		if len(w.Opens) == 0 || looked && len(w.Interfaces) == 0 || len(req.GroupIDs) > 0 && !slices.Contains(req.GroupIDs, w.Group.ID) {
			continue
		}
		tr.world = append(tr.world, w)
		tr.warn(fmt.Sprintf("open to the world: %v; anyone who finds the origin can bypass CloudFront and its WAF: close it or, if that is meant, name the port in the tag %s-public",
			w, e.TagKey))
	}
}

// countWorld counts the rules that are open to the world, if all network interfaces were looked at.
func (r *Report) countWorld(runs []*targetRun) {
	n := 0
	for _, tr := range runs {
		if !r.Looked || !tr.sawWorld {
			return
		}
		n += len(tr.world)
	}
	r.OpenToWorld = &n
}
