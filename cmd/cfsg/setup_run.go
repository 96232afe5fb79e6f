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
	taken int          // how many steps were taken
}

// setup lets CloudFront in, verifies that, and then closes rules that are open to the world, if that is wanted.
func (r *setupRun) setup(ctx context.Context) error {
	plan, err := r.read(ctx)
	if err != nil {
		return err
	}
	r.doc.Steps = plan.Steps
	r.doc.RulesPerPort = &engine.PerFamily{IPv4: r.Rules[secgroup.IPv4], IPv6: r.Rules[secgroup.IPv6]}
	if err := r.otherSettings(plan); err != nil {
		return err
	}
	if r.show(); r.DryRun && len(plan.Steps) > 0 {
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
	r.doc.Leave(r.Stack, len(r.Service)+len(r.setupCommand.Within)+len(r.Family) > 0 || r.setupCommand.TagKey != "", r.again(), r.state.OwnerNote)
	r.showEnd()
	return nil
}

// again says how to run setup so that it closes what is open to the world.
func (r *setupRun) again() string {
	again := "Run this again"
	if r.DryRun {
		again += " without --dry-run"
	}
	if r.CloseWorld {
		return again + "."
	}
	return again + " and answer yes, or use --close-world."
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
	r.doc.Settings.Compare(document.MadeFor(r.Engine.TagKey, r.state.Created))
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
	plan, err = r.Propose(ctx, r.state)
	if r.doc.Notes = slices.Concat(r.state.Notes, r.doc.Notes); err != nil {
		return nil, err
	}
	r.doc.OpenToWorld, err = r.Openings(ctx, r.state)
	return plan, err
}

// take takes steps and names each on stderr.
func (r *setupRun) take(ctx context.Context, steps []setup.Step) error {
	before := r.taken
	return r.Take(ctx, r.state, steps, func(step setup.Step) {
		r.taken++
		fmt.Fprintf(r.t.err, "%d of %d: %s %s: %s\n", r.taken-before, len(steps), step.Action, step.On, step.Detail)
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
		r.doc.ForOwner = r.Handover(state)
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
	before := r.doc.OpenToWorld
	closable := slices.DeleteFunc(slices.Clone(before), func(o setup.Opening) bool { return o.Advice != "" })
	if len(closable) == 0 || r.DryRun || r.Yes && !r.CloseWorld {
		return nil
	}
	if !r.CloseWorld {
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
	takeErr := r.take(ctx, steps)
	r.doc.Steps = append(r.doc.Steps, slices.DeleteFunc(steps, func(step setup.Step) bool { return !step.Done })...)
	if err := r.verify(ctx); err != nil && takeErr == nil {
		return err
	}
	for _, o := range closable {
		if !slices.ContainsFunc(r.doc.OpenToWorld, o.Same) {
			o.Closed = true
			r.doc.OpenToWorld = append(r.doc.OpenToWorld, o)
		}
	}
	r.showReopen()
	return takeErr
}

// undo undoes setups of the origin.
func (r *setupRun) undo(ctx context.Context) error {
	plan, err := r.proposeUndo(ctx)
	if err != nil {
		return err
	}
	r.doc.Notes = append(r.doc.Notes, r.state.Notes...)
	r.doc.Steps, r.doc.ShutOut = plan.Steps, append([]string{}, plan.ShutOut...)
	r.show()
	r.doc.OpenToWorld = append([]setup.Opening{}, r.state.Closed...)
	r.showReopen()
	shut := words.Few(plan.ShutOut)
	if shut != "" {
		r.page.Line()
		r.page.Marked(r.page.Bad("!"), fmt.Sprintf("Without these groups part of CloudFront, or all of it, is shut out at %s: viewers get 504.", shut))
	}
	switch {
	case r.DryRun:
		return nil
	case shut != "" && r.Yes:
		return hint.New(fmt.Sprintf("nothing was undone: it would shut CloudFront out at %s, and --yes does not confirm that", shut),
			"let CloudFront in through another group first, or answer on a terminal")
	case shut != "":
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

func (r *setupRun) proposeUndo(ctx context.Context) (plan *setup.Plan, err error) {
	defer r.t.progress("looking at the origin …")()
	if r.state, plan, err = r.ProposeUndo(ctx); err == nil {
		r.doc.Ports = secgroup.PortNames(r.Ports)
		r.doc.See(r.state)
	}
	return plan, err
}
