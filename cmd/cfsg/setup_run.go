package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/setup"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// A setupRun is a setup under way.
type setupRun struct {
	*setupCommand
	*setup.Setup
	t     terminal
	in    *bufio.Reader
	doc   *document.Setup
	state *setup.State // as it was seen last
	page  *page.Page   // for a person: nobody sees it where JSON is wanted
}

// setup lets CloudFront in, verifies that, and then closes rules that are open to the world, if that is wanted.
func (r *setupRun) setup(ctx context.Context) error {
	plan, err := r.read(ctx)
	if err != nil {
		return err
	}
	r.doc.Planned(plan.Steps)
	r.doc.RulesPerPort = &engine.PerFamily{IPv4: plan.Rules[secgroup.IPv4], IPv6: plan.Rules[secgroup.IPv6]}
	r.doc.Notes = append(r.doc.Notes, plan.Notes...)
	if r.state.VPCOrigin != "" {
		r.doc.Notes = slices.Insert(r.doc.Notes, 0, r.state.VPCOrigin)
	}
	if err := r.otherSettings(plan); err != nil {
		return err
	}
	if r.show(plan.Steps); r.DryRun && len(plan.Steps) > 0 {
		return nil
	}
	if len(plan.Steps) > 0 && !r.Yes {
		if err := ask(ctx, r.t, r.in, "Apply %s?", words.Count(len(plan.Steps), "step")); err != nil {
			return err
		}
	}
	if err := r.take(ctx, plan.Steps); err != nil {
		return err
	}
	if err := r.verify(ctx); err != nil {
		return err
	}
	if r.doc.ForOwner == nil {
		if err := r.closeWorld(ctx); err != nil {
			return err
		}
		r.doc.ForOwner = r.Narrowing(r.state, r.doc.OpenToWorld)
	}
	r.doc.Leave(r.Stack, len(r.Service)+len(r.Within)+len(r.Family) > 0 || r.TagKey != "", r.state.OwnerNote)
	r.showEnd()
	return nil
}

// portMissing names the ports that the load balancer listens on.
func (r *setupRun) portMissing(ctx context.Context) error {
	state, err := r.Read(ctx)
	if err != nil {
		return err
	}
	ports := strings.Join(secgroup.PortNames(state.Listening), ",")
	r.Port = []string{cmp.Or(ports, "443")} // for the next command
	return hint.New("--port is missing", fmt.Sprintf("%s listens on %s: name the ports that CloudFront connects to, such as --port %s", r.Origin, cmp.Or(ports, "no port"), r.Port[0]))
}

// otherSettings refuses to change rules that an earlier setup of this origin has made to settings that nobody has
// named.
func (r *setupRun) otherSettings(plan *setup.Plan) error {
	r.doc.Settings.Compare(engine.MadeFrom(r.Engine.TagKey, r.state.Descriptions()))
	if text := r.doc.Settings.Disagree(); text != "" && !r.doc.Settings.Asked() && len(plan.Steps) > 0 {
		return hint.New(fmt.Sprintf("%s (%s): nothing was changed", text, r.doc.Settings.Origin()), nameSettings)
	}
	return nil
}

// read reads the origin, and proposes steps.
func (r *setupRun) read(ctx context.Context) (plan *setup.Plan, err error) {
	defer r.t.progress("looking at the origin …")()
	if r.state, err = r.Read(ctx); err != nil {
		return nil, err
	}
	r.doc.See(r.state)
	if plan, err = r.Propose(ctx, r.state); err != nil {
		return nil, err
	}
	r.doc.OpenToWorld, err = r.Openings(ctx, r.state)
	return plan, err
}

// take takes steps and names each on stderr.
func (r *setupRun) take(ctx context.Context, steps []setup.Step) error {
	taken := 0
	return r.Take(ctx, r.state, steps, func(step setup.Step) {
		taken++
		r.doc.Taken(step)
		fmt.Fprintf(r.t.err, "%d of %d: %s %s: %s\n", taken, len(steps), step.Action, step.On, step.Detail)
	})
}

// verify checks each interface, and the whole way to it and on from it.
func (r *setupRun) verify(ctx context.Context) error {
	defer r.t.progress("checking each network interface …")()
	report, state, err := r.Verify(ctx)
	if err != nil {
		return err
	}
	r.state = state
	r.doc.See(state)
	switch r.doc.Verdict = report.Verdict; {
	case report.Verdict == door.Open:
	case state.ByList && len(state.Lists()) > 0: // they are filled, and the rest is for the owner to do
		handover := r.Handover(state)
		r.doc.ForOwner = &handover
	default:
		return r.NotOpen(report)
	}
	if r.doc.Door, err = r.Judge(ctx, state); err != nil {
		return err
	}
	r.doc.OpenToWorld, err = r.Openings(ctx, state)
	return err
}

// closeWorld closes the rules that are open to the world, after a question of its own.
func (r *setupRun) closeWorld(ctx context.Context) error {
	r.showVerified()
	var closable []setup.Opening
	for _, o := range r.doc.OpenToWorld {
		if o.Advice == "" {
			closable = append(closable, o)
		}
	}
	if len(closable) == 0 {
		return nil
	}
	if r.DryRun {
		return nil
	}
	if !r.CloseWorld {
		if r.Yes {
			return nil
		}
		switch err := ask(ctx, r.t, r.in, "Close %s? CloudFront gets in without.", words.CountAs(len(closable), "rule that is open to the world", "rules that are open to the world")); {
		case errors.Is(err, errDeclined):
			return nil
		case err != nil:
			return err
		}
	}
	// An answer may take an hour, so look again.
	steps, err := r.Closing(ctx, closable)
	if err != nil {
		return err
	}
	before := r.doc.OpenToWorld
	takeErr := r.take(ctx, steps)
	if err := r.verify(ctx); err != nil && takeErr == nil {
		return err
	}
	r.closed(setup.AddClosed(r.doc.OpenToWorld, before))
	return takeErr
}

// closed shows how to open again those of the rules that were closed.
func (r *setupRun) closed(rules []setup.Opening) {
	for i, o := range rules {
		if o.Closed {
			rules[i].Reopen = r.ruleCommand("authorize", r.doc.Region, o.Group.ID, o.Rule.RuleID, o.Rule.Description)
		}
	}
	r.doc.OpenToWorld = append([]setup.Opening{}, rules...)
	r.showReopen()
}

// undo undoes setups of the origin.
func (r *setupRun) undo(ctx context.Context) error {
	plan, err := r.proposeUndo(ctx)
	if err != nil {
		return err
	}
	r.doc.Planned(plan.Steps)
	r.doc.ShutOut = append([]string{}, plan.ShutOut...)
	r.show(plan.Steps)
	r.closed(r.state.Closed)
	if len(plan.ShutOut) > 0 {
		r.page.Line()
		r.page.Marked(r.page.Bad("!"), fmt.Sprintf("Without these groups part of CloudFront, or all of it, is shut out at %s: viewers get 504.", words.Few(plan.ShutOut)))
	}
	if r.DryRun {
		return nil
	}
	if len(plan.ShutOut) > 0 {
		if r.Yes {
			return hint.New(fmt.Sprintf("nothing was undone: it would shut CloudFront out at %s, and --yes does not confirm that", words.Few(plan.ShutOut)),
				"let CloudFront in through another group first, or answer on a terminal")
		}
		if err := ask(ctx, r.t, r.in, "Shut CloudFront out?"); err != nil {
			return err
		}
	}
	if len(plan.Steps) > 0 && !r.Yes {
		if err := ask(ctx, r.t, r.in, "Undo what setup did, in %s?", words.Count(len(plan.Steps), "step")); err != nil {
			return err
		}
		// An answer may take an hour, so look again.
		now, err := r.proposeUndo(ctx)
		if err != nil {
			return err
		}
		if !slices.Equal(now.ShutOut, plan.ShutOut) {
			return hint.New("the origin has changed in the meantime, and undoing this may shut CloudFront out: nothing was changed", "run it again")
		}
	}
	if err := r.take(ctx, plan.Steps); err != nil {
		return err
	}
	r.showEnd()
	return nil
}

func (r *setupRun) proposeUndo(ctx context.Context) (plan *setup.UndoPlan, err error) {
	defer r.t.progress("looking at the origin …")()
	if r.state, plan, err = r.ProposeUndo(ctx); err == nil {
		r.doc.Ports = secgroup.PortNames(r.Ports)
		r.doc.See(r.state)
	}
	return plan, err
}
