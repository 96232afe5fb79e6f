// Package engine runs a synchronisation from end to end: it fetches the published ranges, plans each account and
// region, and applies the plans. The function and the operator's command both drive it.
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"golang.org/x/sync/errgroup"
)

// An Engine makes tagged security groups equal to the published ranges. It is not safe for concurrent runs.
type Engine struct {
	Fetch FetchFunc
	// Services are the services that Fetch selects, and Within those that it takes in, for the rules' descriptions.
	Services, Within []string
	Targets          []*Target
	TagKey           string
	// RulesPerGroup is the quota of rules per group; zero asks Service Quotas.
	RulesPerGroup    int
	MaxRevokePercent int
	// Families are those that ranges are wanted of; none means both.
	Families []secgroup.Family
	Log      *slog.Logger

	pause time.Duration // before a first look after a conflict; zero means firstPause
}

// A FetchFunc gets the published ranges: with a notice those it announced, or newer ones.
type FetchFunc func(context.Context, *iprange.Notice) (*iprange.Publication, error)

// A Request is what a run is asked for.
type Request struct {
	// Notice is what a notification said of the file, if one started the run.
	Notice *iprange.Notice
	// DryRun plans and reports, and changes nothing.
	DryRun bool
	// Force revokes however many rules lose addresses.
	Force bool
	// GroupIDs names the only groups that may be changed; empty means all.
	GroupIDs []string
	// Withdraw revokes every owned rule of the tagged groups, whatever is published and however many there are: no
	// range is wanted any more.
	Withdraw bool
	// Approved, if not nil, holds the only plans that may be applied. A target whose groups have changed since its plan
	// was made is left as it is.
	Approved map[*Target]*secgroup.Plan
	// Look asks for the network interfaces of all groups even where nothing is revoked, so that the report tells which
	// of them lack something.
	Look bool
	// Watch asks for warnings of stray tags, and of rules that are open to the world once the run is over. A run that also
	// looks finds mistyped tags too, and what is open in other groups at the same network interfaces.
	Watch bool
	// OnStep, if set, is told of each step that the run has taken. It may be called by several goroutines at a time.
	OnStep func(*Target, secgroup.Step)
	// OnChange, if set, is told of each change of a prefix list that the run has made, in the same way.
	OnChange func(*Target, secgroup.Change)
}

// targetsAtOnce and poolsAtOnce bound the calls under way at a time.
const (
	targetsAtOnce = 8
	poolsAtOnce   = 4
)

// Run synchronises all targets. It always returns a report; the error names everything that failed, each in a line of
// its own.
func (e *Engine) Run(ctx context.Context, req Request) (*Report, error) {
	report := NewReport(req.DryRun)
	fetch := e.startFetch(ctx, req)
	results := make([]*targetReport, len(e.Targets))
	var running errgroup.Group
	running.SetLimit(targetsAtOnce)
	for i, t := range e.Targets {
		running.Go(func() error {
			tr := &targetReport{target: t}
			results[i] = tr
			if err := e.guard(ctx, func() { e.syncAndWatch(ctx, tr, fetch, req) }); err != nil {
				tr.fail(err)
			}
			return nil
		})
	}
	_ = running.Wait() // failures are in the results
	publication, err := fetch()
	var errs []error
	if err != nil {
		errs = append(errs, err)
		for _, tr := range results {
			errs = append(errs, tr.errs...)
		}
		return report, report.fail(errs)
	}
	if !req.Withdraw {
		report.published(publication)
		if note := Strangers(publication); note != "" {
			e.Log.WarnContext(ctx, note)
		}
	}
	report.Looked = req.Look
	for _, tr := range results {
		report.add(tr)
		report.Looked = report.Looked && tr.planned && !tr.blind
		errs = append(errs, tr.errs...)
	}
	report.countWorld(results)
	if !slices.ContainsFunc(results, func(tr *targetReport) bool { return !tr.planned }) {
		errs = append(errs, e.unknownGroups(req.GroupIDs, report.has)...)
	}
	return report, report.fail(errs)
}

// startFetch starts to fetch the file, while the groups are described, and returns a function that waits for it.
func (e *Engine) startFetch(ctx context.Context, req Request) func() (*iprange.Publication, error) {
	var (
		publication = &iprange.Publication{} // no file is needed to close
		err         error
		done        = make(chan struct{})
	)
	go func() {
		defer close(done)
		if req.Withdraw {
			return
		}
		if crash := e.guard(ctx, func() { publication, err = e.Fetch(ctx, req.Notice) }); crash != nil {
			err = crash
		}
	}()
	return func() (*iprange.Publication, error) {
		<-done
		return publication, err
	}
}

// unknownGroups returns an error for each of the groups asked for that there is not. That can be said only where every
// target was looked at.
func (e *Engine) unknownGroups(ids []string, has func(id string) bool) []error {
	var errs []error
	for _, id := range ids {
		if !has(id) {
			var places []string
			for _, t := range e.Targets {
				places = append(places, t.String())
			}
			kind := "security group"
			if strings.HasPrefix(id, "pl-") {
				kind = "prefix list"
			}
			errs = append(errs, hint.New(fmt.Sprintf("%s: no %s tagged %s has this ID in %s", id, kind, e.TagKey, strings.Join(places, ", ")), "tag it, or check the ID"))
		}
	}
	return errs
}

// guard calls f. A panic in it becomes an error, so that it fails alone: the other targets go on, and the run still
// reports what it did.
func (e *Engine) guard(ctx context.Context, f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.Log.ErrorContext(ctx, "panic", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v; this is a bug in cloudfront-sg-sync: please report it with the stack trace from the log", p)
		}
	}()
	f()
	return nil
}
