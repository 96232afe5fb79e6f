package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/secgroup"
)

const (
	// stepReserve is the time that a step is given: with less left, none is begun.
	stepReserve = 2 * time.Second
	// closingTries is how often the step that ends a gap is tried.
	closingTries = 3
	closingPause = 200 * time.Millisecond
	// closingTime is what the steps that end a gap are given beyond the deadline of the run: a range that the run
	// itself has closed is not left so.
	closingTime = 10 * time.Second
)

// A stepError says that a step of a pool failed.
type stepError struct {
	step secgroup.Step
	pool string
	Err  error
	at   string // how far the pool got
}

func (e *stepError) Error() string { return fmt.Sprintf("pool %q: %v (%s)", e.pool, e.Err, e.at) }
func (e *stepError) Unwrap() error { return e.Err }

// apply takes the steps of a pool, up to the first that fails.
func (e *Engine) apply(ctx context.Context, t *Target, pool secgroup.PoolPlan, reports map[string]*GroupReport, req Request) error {
	taken, err := inTurn(pool.Steps, func(s secgroup.Step) bool { return s.Closes }, func(steps []secgroup.Step) (int, error) {
		taken, err := e.take(ctx, t, pool, steps, req)
		for _, step := range steps[:taken] {
			reports[step.GroupID].count(step)
		}
		return taken, err
	})
	if err == nil {
		return nil
	}
	failed := pool.Steps[taken]
	reports[failed.GroupID].Error = err.Error()
	return &stepError{failed, pool.Name, err, fmt.Sprintf("%d of %d steps taken", taken, len(pool.Steps))}
}

// inTurn takes steps, up to the first that fails, and returns how many were taken. A gap and the steps that close it are
// taken as one.
func inTurn[S any](steps []S, closes func(S) bool, take func([]S) (int, error)) (int, error) {
	for i := 0; i < len(steps); {
		end := i + 1
		for end < len(steps) && closes(steps[end]) {
			end++
		}
		if taken, err := take(steps[i:end]); err != nil {
			return i + taken, err
		}
		i = end
	}
	return len(steps), nil
}

// take takes a step, or a gap whole. It returns how many steps were taken.
func (e *Engine) take(ctx context.Context, t *Target, pool secgroup.PoolPlan, steps []secgroup.Step, req Request) (int, error) {
	gap := steps[0].Gap
	if len(gap) > 0 {
		e.Log.WarnContext(ctx, "no room to avoid a gap: ranges are closed until the next steps open them again",
			"target", t.String(), "pool", pool.Name, "groupId", steps[0].GroupID, "ranges", gap, "dryRun", req.DryRun)
	}
	if req.DryRun {
		return len(steps), nil
	}
	if err := outOfTime(ctx, time.Duration(len(steps))*stepReserve); err != nil {
		return 0, err
	}
	taken, err := len(steps), error(nil)
	for i, step := range steps {
		err = takeStep(ctx, t.EC2, step)
		undone := false
		if i > 0 {
			undone, err = e.close(ctx, t, steps[0], step, err)
		}
		if err != nil {
			if taken = i; undone {
				taken = 0
			}
			break
		}
		e.Log.InfoContext(ctx, step.Op.String()+"d", "target", t.String(), "groupId", step.GroupID, "rules", len(step.Rules))
	}
	for _, step := range steps[:taken] { // only now is it known what stays
		if req.OnStep != nil {
			req.OnStep(t, step)
		}
	}
	return taken, err
}

// close closes a gap whose closing step failed. It retries the step and, if that does not help, authorizes again what
// was revoked: then the gap is undone. If that fails too, the error names what is closed.
func (e *Engine) close(ctx context.Context, t *Target, opened, step secgroup.Step, err error) (undone bool, _ error) {
	if err == nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingTime)
	defer cancel()
	for n := 1; n < closingTries && err != nil && !secgroup.IsRefusal(err); n++ {
		if !sleep(ctx, closingPause) {
			break
		}
		err = secgroup.Apply(ctx, t.EC2, step)
	}
	if err == nil {
		return false, nil
	}
	if secgroup.IsDuplicate(err) { // an answer was lost on the way
		return false, err // the run looks again
	}
	back := secgroup.Step{Op: secgroup.Authorize, GroupID: opened.GroupID, Rules: opened.Rules}
	if undo := secgroup.Apply(ctx, t.EC2, back); undo == nil {
		return true, fmt.Errorf("%w; what was revoked for it is authorized again, so nothing is closed", err)
	}
	e.Log.ErrorContext(ctx, "a gap is left open", "target", t.String(), "groupId", opened.GroupID, "ranges", opened.Gap)
	return false, fmt.Errorf("%w; CLOSED until the next run reopens it: %s", err, listOf(opened.Gap))
}

func listOf(prefixes []netip.Prefix) string {
	var list []string
	for _, p := range prefixes {
		list = append(list, p.String())
	}
	return strings.Join(list, ", ")
}

// count notes a step that was taken.
func (r *GroupReport) count(step secgroup.Step) {
	added, revoked := step.Counts()
	r.Added += added
	r.Revoked += revoked
}

// takeStep applies a step. One that has begun is finished when the run is stopped: of a call that is given up nobody
// knows whether it took effect. One that ends a gap is not held to the run's deadline either.
func takeStep(ctx context.Context, api secgroup.API, step secgroup.Step) error {
	call := context.WithoutCancel(ctx)
	deadline, ok := ctx.Deadline()
	if step.Closes {
		deadline, ok = time.Now().Add(closingTime), true
	}
	if ok {
		var cancel context.CancelFunc
		call, cancel = context.WithDeadline(call, deadline)
		defer cancel()
	}
	return secgroup.Apply(call, api, step)
}

// outOfTime fails where too little time is left.
func outOfTime(ctx context.Context, need time.Duration) error {
	if err := ctx.Err(); err != nil {
		return hint.With(fmt.Errorf("stopped between two steps: %w", err), "run again to continue")
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < need {
		return errors.New("out of time between two steps; the next run continues")
	}
	return nil
}
