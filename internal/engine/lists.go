package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/secgroup"

	"golang.org/x/sync/errgroup"
)

// A PrefixListReport says what became of one prefix list.
type PrefixListReport struct {
	// Account is empty for the account that the run itself belongs to.
	Account      string `json:"account"`
	Region       string `json:"region"`
	PrefixListID string `json:"prefixListId"`
	Name         string `json:"name"`
	Pool         string `json:"pool"`
	Family       string `json:"family"`
	// Version is that of the entries after the run, and MaxEntries how many there may be.
	Version    int64 `json:"version"`
	MaxEntries int   `json:"maxEntries"`
	Added      int   `json:"added"`
	Removed    int   `json:"removed"`
	// Kept counts this tool's entries that were there before and stay, Foreign the entries of the list that are not
	// this tool's.
	Kept    int    `json:"kept"`
	Foreign int    `json:"foreign"`
	Error   string `json:"error"`
}

func (r *PrefixListReport) failure() *string { return &r.Error }

// count notes a change that was made.
func (r *PrefixListReport) count(c secgroup.Change) {
	r.Added += len(c.Added())
	r.Removed += len(c.Removed())
}

// look describes the tagged groups and the tagged prefix lists of a target, at a time. What the lists fail with is not
// what the groups do.
//
// Where the run may not look for lists, there is none that it could change. That is a warning, so that a run does not
// fail for those who only have groups.
func (e *Engine) look(ctx context.Context, t *Target) (groups []secgroup.Group, lists lookedUp, err error) {
	var running errgroup.Group
	running.Go(func() error {
		if crash := e.guard(ctx, func() { lists.found, lists.err = secgroup.DiscoverLists(ctx, t.EC2, e.TagKey) }); crash != nil {
			lists.err = crash
		}
		return nil
	})
	groups, stray, err := secgroup.Discover(ctx, t.EC2, e.TagKey)
	_ = running.Wait() // its failure is in lists
	switch {
	case err != nil:
		return nil, lookedUp{}, err
	case awserr.IsDenied(lists.err):
		lists = lookedUp{warning: fmt.Sprintf("%v: cannot tell whether there are prefix lists to sync: %v", t, lists.err)}
	case lists.err == nil:
		lists.found, lists.err = t.ownLists(ctx, lists.found, groups)
	}
	lists.stray = stray
	return groups, lists, nil
}

// lookedUp is what a look has found besides groups.
type lookedUp struct {
	stray []secgroup.StrayTag
	found []secgroup.PrefixList
	// err and warning say why it has found none.
	err     error
	warning string
}

// ownLists returns the lists that belong to the account itself. Others cannot be changed from here; their owners have
// to sync them.
func (t *Target) ownLists(ctx context.Context, lists []secgroup.PrefixList, groups []secgroup.Group) ([]secgroup.PrefixList, error) {
	if len(lists) == 0 {
		return nil, nil
	}
	account := lists[0].Owner
	other := func(owner string) bool { return owner != account }
	if slices.ContainsFunc(lists, func(l secgroup.PrefixList) bool { return other(l.Owner) }) ||
		slices.ContainsFunc(groups, func(g secgroup.Group) bool { return other(g.Owner) }) {
		if account = t.Account; account == "" {
			var err error
			if account, err = t.AccountID(ctx); err != nil {
				return nil, err
			}
		}
	}
	return slices.DeleteFunc(lists, func(l secgroup.PrefixList) bool { return other(l.Owner) }), nil
}

// A changeError says that a change of a prefix list failed.
type changeError struct {
	change secgroup.Change
	pool   string
	Err    error
	at     string // how far the pool got
}

func (e *changeError) Error() string { return fmt.Sprintf("pool %q: %v (%s)", e.pool, e.Err, e.at) }
func (e *changeError) Unwrap() error { return e.Err }

// modify makes the changes of a pool of prefix lists, up to the first that fails.
func (e *Engine) modify(ctx context.Context, t *Target, pool secgroup.ListPool, reports map[string]*PrefixListReport, req Request) error {
	made, err := inTurn(pool.Changes, func(c secgroup.Change) bool { return c.Closes }, func(changes []secgroup.Change) (int, error) {
		made, err := e.makeChanges(ctx, t, pool, changes, reports, req)
		for _, change := range changes[:made] {
			reports[change.ListID].count(change)
		}
		return made, err
	})
	if err == nil {
		return nil
	}
	failed := pool.Changes[made]
	reports[failed.ListID].Error = err.Error()
	return &changeError{failed, pool.Name, err, fmt.Sprintf("%d of %d changes made", made, len(pool.Changes))}
}

// makeChanges makes a change, or all that a gap is about. It returns how many are made, without those that it has taken
// back.
func (e *Engine) makeChanges(ctx context.Context, t *Target, pool secgroup.ListPool, changes []secgroup.Change, reports map[string]*PrefixListReport, req Request) (int, error) {
	gap := changes[0].Gap
	if len(gap) > 0 {
		e.Log.WarnContext(ctx, "no room to avoid a gap: ranges are closed until the next changes open them again",
			"target", t.String(), "pool", pool.Name, "prefixListId", changes[0].ListID, "ranges", gap, "dryRun", req.DryRun)
	}
	if req.DryRun {
		return len(changes), nil
	}
	if err := outOfTime(ctx, time.Duration(len(changes))*stepReserve); err != nil {
		return 0, err
	}
	for i, change := range changes {
		report := reports[change.ListID]
		version, err := e.change(ctx, t, change, report.Version, len(gap) > 0)
		if err != nil && i > 0 {
			stay, err := e.takeBack(ctx, t, changes[:i], reports, err)
			tellChanges(t, changes[:stay], req)
			return stay, err
		}
		if err != nil {
			return i, err
		}
		report.Version = version
		e.Log.InfoContext(ctx, "modified", "target", t.String(), "prefixListId", change.ListID,
			"added", len(change.Add), "removed", len(change.Remove), "version", version)
	}
	tellChanges(t, changes, req)
	return len(changes), nil
}

// tellChanges tells of changes once it is known that they stay.
func tellChanges(t *Target, changes []secgroup.Change, req Request) {
	for _, change := range changes {
		if req.OnChange != nil {
			req.OnChange(t, change)
		}
	}
}

// change makes a change. One that opens or ends a gap is neither held to the run's deadline nor stopped with it, and
// one that ends it is tried again.
func (e *Engine) change(ctx context.Context, t *Target, change secgroup.Change, version int64, gap bool) (int64, error) {
	if !gap {
		return secgroup.Modify(ctx, t.EC2, change, version)
	}
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingTime)
	defer cancel()
	made, err := secgroup.Modify(call, t.EC2, change, version)
	for n := 1; change.Closes && n < closingTries && err != nil && !secgroup.IsConflict(err) && !secgroup.IsRefusal(err) && sleep(call, closingPause); n++ {
		made, err = secgroup.Modify(call, t.EC2, change, version)
	}
	return made, err
}

// takeBack takes changes back, as what was to end the gap that they opened has failed. It returns how many of them
// stay.
func (e *Engine) takeBack(ctx context.Context, t *Target, changes []secgroup.Change, reports map[string]*PrefixListReport, err error) (int, error) {
	for i, change := range slices.Backward(changes) {
		report := reports[change.ListID]
		version, undo := e.change(ctx, t, change.Inverse(), report.Version, true)
		if undo != nil {
			e.Log.ErrorContext(ctx, "a gap is left open", "target", t.String(), "prefixListId", change.ListID, "ranges", changes[0].Gap)
			return i + 1, fmt.Errorf("%w; CLOSED until the next run reopens it: %s", err, listOf(changes[0].Gap))
		}
		report.Version = version
	}
	return 0, fmt.Errorf("%w; what was removed for it is added again, so nothing is closed", err)
}

// noteChange notes the failure of a change, as note does that of a step.
func (r *refusals) noteChange(err error, pool secgroup.ListPool) bool {
	failed, ok := errors.AsType[*changeError](err)
	switch {
	case !ok:
		return false
	case secgroup.IsConflict(err):
		return true
	case secgroup.IsRefusal(err):
		r.leave[failed.change.ListID] = failed.Err
		return len(pool.Lists) > 1
	}
	return false
}

// planLists plans the pools of prefix lists. One that is too small says in which region to enlarge a list.
func (t *Target) planLists(ctx context.Context, lists []secgroup.PrefixList, req secgroup.Request) ([]secgroup.ListPool, error) {
	pools, err := secgroup.PlanLists(ctx, lists, req)
	for _, pool := range pools {
		if short, ok := errors.AsType[*secgroup.ListShortageError](pool.Err); ok {
			short.Region = t.Region
		}
	}
	return pools, err
}

// concernedLists returns the pools that have a list asked for.
func concernedLists(pools []secgroup.ListPool, only []string) []secgroup.ListPool {
	return slices.DeleteFunc(slices.Clone(pools), func(pool secgroup.ListPool) bool {
		return !slices.ContainsFunc(pool.Lists, func(l secgroup.ListPlan) bool { return wanted(l.List.ID, only) })
	})
}

// listFailures returns what keeps a pool's plan from being whole, as failuresOf does.
func listFailures(pool secgroup.ListPool, only []string) []error {
	var errs []error
	if pool.Err != nil {
		errs = append(errs, pool.Err)
	}
	for _, l := range pool.Lists {
		if l.Err != nil && wanted(l.List.ID, only) {
			errs = append(errs, fmt.Errorf("%s: %w", l.List.ID, l.Err))
		}
	}
	return errs
}

// beginLists returns the reports of a pool's lists, by ID, with what is known of them before the first change.
func (tr *targetReport) beginLists(pool secgroup.ListPool, only []string) map[string]*PrefixListReport {
	reports := map[string]*PrefixListReport{}
	for _, l := range pool.Lists {
		if !wanted(l.List.ID, only) {
			continue
		}
		r := tr.list(l)
		reports[l.List.ID] = r
		r.Version, r.MaxEntries, r.Error = l.List.Version, l.List.MaxEntries, ""
		if err := errors.Join(l.Err, pool.Err); err != nil {
			r.Error = err.Error()
		}
	}
	return reports
}

// list returns the report of a list, making it if it is the first.
func (tr *targetReport) list(l secgroup.ListPlan) *PrefixListReport {
	if i := slices.IndexFunc(tr.lists, func(r *PrefixListReport) bool { return r.PrefixListID == l.List.ID }); i >= 0 {
		return tr.lists[i]
	}
	r := &PrefixListReport{
		Account:      tr.target.Account,
		Region:       tr.target.Region,
		PrefixListID: l.List.ID,
		Name:         l.List.Name,
		Pool:         l.Settings.Pool,
		Family:       l.List.Family.String(),
		Kept:         l.Kept,
		Foreign:      l.Foreign,
	}
	tr.lists = append(tr.lists, r)
	return r
}
