package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/checker"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

const (
	stepReserve = 2 * time.Second // with less time left, no step is begun
	reopenTries = 3               // for the step that ends a gap
	reopenPause = 200 * time.Millisecond
	// gapTime is what the steps of a gap are given beyond the deadline of the run, so that none is left open.
	gapTime = 10 * time.Second
)

// A stepError says that a step failed.
type stepError struct {
	error
	step  secgroup.Step
	rules []secgroup.Rule // of the holder, in the plan
}

func (e *stepError) Unwrap() error { return e.error }

// isAbout reports whether the step was about a holder, which has the same rules still.
func (e *stepError) isAbout(h *secgroup.Holder) bool {
	return e.step.HolderID == h.ID && slices.Equal(e.rules, h.Ingress)
}

// An applier takes the steps of one sequence.
type applier struct {
	*Engine
	req     Request
	run     *targetRun
	plans   map[string]*secgroup.HolderPlan
	checker *checker.Checker
	failed  map[string]bool // holders
	errs    []error
}

// apply takes the steps of a sequence. After a failure it leaves that holder alone, and goes on with the others: the
// checker refuses what would depend on the step that failed.
func (e *Engine) apply(ctx context.Context, tr *targetRun, seq secgroup.Sequence, req Request) []error {
	a := &applier{Engine: e, req: req, run: tr, plans: map[string]*secgroup.HolderPlan{}, checker: checker.New(seq), failed: map[string]bool{}}
	for _, h := range seq.Holders {
		a.plans[h.ID] = h
	}
	for left := seq.Steps; len(left) > 0; {
		n := 1 // steps to take together
		for n < len(left) && left[n].Reopens {
			n++
		}
		if err := outOfTime(ctx, time.Duration(n)*stepReserve); err != nil && !req.DryRun {
			return append(a.errs, fmt.Errorf("%d of %d steps taken: %w", len(seq.Steps)-len(left), len(seq.Steps), err))
		}
		if n > 1 {
			a.takeGap(ctx, left[0], left[1])
		} else {
			a.take(ctx, left[0])
		}
		left = left[n:]
	}
	return a.errs
}

// take takes a step, or the part of it that the checker allows.
func (a *applier) take(ctx context.Context, step secgroup.Step) {
	if a.failed[step.HolderID] {
		return
	}
	if refused := a.checker.Check(step, nil); refused != nil {
		a.fail(step, refused)
		var some bool
		if step, some = a.checker.Allowed(step); !some {
			return
		}
	}
	if err := a.call(ctx, step); err != nil {
		a.fail(step, err)
		a.failed[step.HolderID] = true
		return
	}
	a.done(ctx, step)
}

// takeGap takes a step that closes something for a moment, and the one that opens it again. If the second fails, it
// takes the first back.
func (a *applier) takeGap(ctx context.Context, closes, reopens secgroup.Step) {
	if a.failed[closes.HolderID] || a.failed[reopens.HolderID] {
		return
	}
	if refused := a.checker.Check(closes, &reopens); refused != nil {
		a.fail(closes, refused)
		return
	}
	a.Log.WarnContext(ctx, "no room to avoid a gap: ranges are closed until the next step opens them again",
		"target", a.run.Target.String(), "holder", closes.HolderID, "ranges", closes.Gap, "dryRun", a.req.DryRun)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gapTime)
	defer cancel()
	if err := a.call(ctx, closes); err != nil {
		a.fail(closes, err)
		a.failed[closes.HolderID] = true
		return
	}
	a.checker.Took(closes)
	err := a.call(ctx, reopens)
	for n := 1; n < reopenTries && err != nil && !secgroup.IsConflict(err) && !secgroup.IsRefusal(err) && sleep(ctx, reopenPause); n++ {
		err = a.call(ctx, reopens)
	}
	if err == nil {
		a.done(ctx, closes)
		a.done(ctx, reopens)
		return
	}
	a.failed[reopens.HolderID] = true
	if awserr.Code(err) == "InvalidPermission.Duplicate" { // an answer was lost on the way: the rule is there
		a.done(ctx, closes)
		a.fail(reopens, err)
		return
	}
	if undo := a.call(ctx, closes.Inverse()); undo == nil {
		a.checker.Took(closes.Inverse())
		a.fail(reopens, fmt.Errorf("%w; its gap is closed again: %s holds what it held before", err, closes.HolderID))
		return
	}
	a.done(ctx, closes)
	a.Log.ErrorContext(ctx, "a gap is left open", "target", a.run.Target.String(), "holder", closes.HolderID, "ranges", closes.Gap)
	a.fail(reopens, fmt.Errorf("%w; CLOSED until the next run reopens it: %s", err, strings.Join(words.Strings(closes.Gap), ", ")))
}

// call makes the call of a step, unless this is a dry run.
func (a *applier) call(ctx context.Context, step secgroup.Step) (err error) {
	if a.req.DryRun {
		return nil
	}
	outcome := a.run.outcome(a.plans[step.HolderID])
	if outcome.version, err = secgroup.Apply(ctx, a.run.Target.EC2, step, outcome.version); err != nil {
		a.checker.Sent(step)
	}
	return err
}

// done notes a step that was taken and stays.
func (a *applier) done(ctx context.Context, step secgroup.Step) {
	a.checker.Took(step)
	a.run.outcome(a.plans[step.HolderID]).count(step)
	if a.req.DryRun {
		return
	}
	a.Log.InfoContext(ctx, step.Done(), "target", a.run.Target.String())
	if a.req.OnStep != nil {
		a.req.OnStep(a.run.Target, step)
	}
}

// fail notes what became of a step that was not taken.
func (a *applier) fail(step secgroup.Step, err error) {
	h := a.plans[step.HolderID]
	outcome := a.run.outcome(h)
	outcome.err = errors.Join(outcome.err, err)
	if pool := h.Settings.Pool; pool != "" {
		err = fmt.Errorf("pool %q: %w", pool, err)
	}
	a.errs = append(a.errs, &stepError{err, step, h.Ingress})
}

// outOfTime fails if too little time is left.
func outOfTime(ctx context.Context, need time.Duration) error {
	if err := ctx.Err(); err != nil {
		return hint.With(fmt.Errorf("stopped between two steps: %w", err), "run again to continue")
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < need {
		return errors.New("deadline too close to start another step; the next run continues")
	}
	return nil
}
