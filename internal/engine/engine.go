// Package engine runs a synchronisation from end to end: it fetches the published ranges, plans each account and
// region, and applies the plans. The function and the operator's command both drive it.
package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/errgroup"
)

// An Engine makes tagged security groups equal to the published ranges. It is not safe for concurrent runs.
type Engine struct {
	config.Config
	Fetch   FetchFunc // selects what the settings name
	Targets []*Target
	Log     *slog.Logger

	pause time.Duration // before a first look after a conflict; zero means firstPause
}

// New returns the engine that the settings ask for. It takes credentials, region and endpoints from cfg, and the ranges
// from fetch.
func New(c config.Config, cfg aws.Config, fetch FetchFunc, log *slog.Logger) (*Engine, error) {
	regions := c.Regions
	if len(regions) == 0 {
		if cfg.Region == "" {
			return nil, errors.New("configuration: neither REGIONS nor AWS_REGION names a region")
		}
		regions = []string{cfg.Region}
	}
	if cfg.Region == "" {
		cfg.Region = regions[0] // STS needs one
	}
	return &Engine{Config: c, Fetch: fetch, Targets: Targets(cfg, regions, Roles(c, cfg.Region), c.ExternalID), Log: log}, nil
}

// A FetchFunc gets the published ranges: with a notice those it announced, or newer ones.
type FetchFunc func(context.Context, *iprange.Notice) (*iprange.Publication, error)

// A Request is what a run is asked for.
type Request struct {
	Notice   *iprange.Notice // what a notification said of the file, if one started the run
	DryRun   bool            // plans and reports, and changes nothing
	Force    bool            // revokes however many rules lose addresses
	GroupIDs []string        // the only groups that may be changed; empty means all
	// Withdraw revokes every owned rule of the tagged groups, whatever is published and however many there are: no
	// range is wanted any more.
	Withdraw bool
	// Approved, if not nil, holds the only plans that may be applied. A target whose groups have changed since its plan
	// was made is left as it is.
	Approved map[*Target]*secgroup.Plan
	// Look asks for the network interfaces of all groups even if nothing is revoked, so that the report tells which of
	// them lack something.
	Look bool
	// Watch asks for warnings of stray tags, and of rules that are open to the world after the run. With Look, it also
	// finds mistyped tags, and what is open in other groups at the same network interfaces.
	Watch bool
	// AskQuota asks for the quota even if there is nothing to do, so that a person sees how much room is left.
	AskQuota bool
	// OnStep, if set, is called for each step that the run has taken and that stays. It may be called by several
	// goroutines at a time.
	OnStep func(*Target, secgroup.Step)
}

// targetsAtOnce and sequencesAtOnce bound the calls under way at a time.
const (
	targetsAtOnce   = 8
	sequencesAtOnce = 4
)

// Run synchronises all targets. It always returns a report; the error names everything that failed, each in a line of
// its own.
func (e *Engine) Run(ctx context.Context, req Request) (*Report, error) {
	publication, runs, err := e.run(ctx, req, (*targetRun).letGo)
	report := NewReport(req.DryRun)
	var errs []error
	if err != nil {
		errs = append(errs, err)
	} else if !req.Withdraw {
		report.SyncToken, report.PublishedAt = publication.SyncToken, publication.Published
		report.Ranges = PerFamily{IPv4: len(publication.IPv4), IPv6: len(publication.IPv6)}
		if note := publication.Strangers(); note != "" {
			e.Log.WarnContext(ctx, note)
		}
	}
	report.Looked = req.Look
	open, sawAll := 0, true
	for _, tr := range runs {
		if err == nil {
			report.add(tr)
		}
		report.Looked = report.Looked && tr.Plan != nil && !tr.Plan.Blind
		open, sawAll = open+tr.open, sawAll && tr.sawWorld
		errs = append(errs, tr.errs...)
	}
	if report.Looked && sawAll {
		report.OpenToWorld = &open
	}
	return report, report.fail(append(errs, e.unknownGroups(req.GroupIDs, runs)...))
}

// run goes through all targets, and is done with each when its reports are made. It fails if there are no ranges.
func (e *Engine) run(ctx context.Context, req Request, done func(*targetRun)) (*iprange.Publication, []*targetRun, error) {
	fetch := e.startFetch(ctx, req)
	var kept atomic.Int64
	runs := e.eachTarget(func(tr *targetRun) {
		err := e.isolatePanics(ctx, func() error {
			defer tr.settle(fetch, &kept) // after a panic, too
			e.sync(ctx, tr, fetch, req)
			if req.Watch && tr.Plan != nil {
				e.warnOfStray(ctx, tr, req.Look)
				e.warnOfWorld(ctx, tr, req)
			}
			return nil
		})
		if err != nil {
			tr.fail(err)
		}
		done(tr)
	})
	publication, err := fetch()
	return publication, runs, err
}

// eachTarget calls do for all targets, some at a time, and returns their runs in order.
func (e *Engine) eachTarget(do func(*targetRun)) []*targetRun {
	runs := make([]*targetRun, len(e.Targets))
	sideBySide(len(runs), targetsAtOnce, func(i int) {
		runs[i] = &targetRun{Preview: Preview{Target: e.Targets[i]}}
		do(runs[i])
	})
	return runs
}

// sideBySide calls do for the numbers below n, some at a time.
func sideBySide(n, atOnce int, do func(int)) {
	var running errgroup.Group
	running.SetLimit(atOnce)
	for i := range n {
		running.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = running.Wait()
}

// startFetch starts to fetch the file, while the groups are described, and returns a function that waits for it.
func (e *Engine) startFetch(ctx context.Context, req Request) func() (*iprange.Publication, error) {
	publication := &iprange.Publication{}
	var running errgroup.Group
	if !req.Withdraw { // no file is needed to close
		running.Go(func() error {
			return e.isolatePanics(ctx, func() (err error) {
				publication, err = e.Fetch(ctx, req.Notice)
				return err
			})
		})
	}
	return func() (*iprange.Publication, error) {
		err := running.Wait()
		return publication, err
	}
}

// unknownGroups returns an error for each of the groups asked for that does not exist. That can be said only if every
// target was planned.
func (e *Engine) unknownGroups(ids []string, runs []*targetRun) []error {
	var planned []string
	var unlisted error
	for _, tr := range runs {
		if tr.Plan == nil {
			return nil
		}
		planned, unlisted = append(planned, tr.planned...), cmp.Or(unlisted, tr.ListsErr)
	}
	var errs []error
	for _, id := range ids {
		if slices.Contains(planned, id) {
			continue
		}
		what := "security group"
		if strings.HasPrefix(id, "pl-") {
			what = "prefix list"
			if unlisted != nil {
				errs = append(errs, fmt.Errorf("cannot look for %s: %w", id, unlisted))
				continue
			}
		}
		errs = append(errs, hint.New(fmt.Sprintf("%s: no %s tagged %s has this ID in %s", id, what, e.TagKey, strings.Join(words.Strings(e.Targets), ", ")), "tag it, or check the ID"))
	}
	return errs
}

// isolatePanics calls f. A panic in it becomes an error: the other targets go on, and the run reports what it did.
func (e *Engine) isolatePanics(ctx context.Context, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.Log.ErrorContext(ctx, "panic", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v; this is a bug in cloudfront-sg-sync: please report it with the stack trace from the log", p)
		}
	}()
	return f()
}
