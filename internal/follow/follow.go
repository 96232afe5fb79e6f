// Package follow keeps a file on a host equal to the published ranges. It replaces the file, has the server check and
// reload it, and puts the old one back if either fails.
package follow

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// An Outcome says how a run ended.
type Outcome string

// The outcomes. After the first two the file is current; after the others the old file is in force.
const (
	Unchanged    Outcome = "unchanged"
	Updated      Outcome = "updated"
	Held         Outcome = "held"
	Older        Outcome = "older"
	FetchFailed  Outcome = "fetch-failed"
	CheckFailed  Outcome = "check-failed"
	ReloadFailed Outcome = "reload-failed"
	Interrupted  Outcome = "interrupted"
)

// A Follower keeps one file current. Beside the file are its state, in FILE.state, and a lock; while the file is being
// replaced, the old one as well.
type Follower struct {
	File     string
	URL      string // of the published file, empty if it is read from elsewhere
	Settings string // the selected services and families; only lists of the same are compared
	// Fetch gets the published ranges, or returns held if they have not changed.
	Fetch func(ctx context.Context, held iprange.Copy) (iprange.Copy, error)
	// Render writes the text of the file.
	Render func(*iprange.Publication) (string, error)

	Check, Reload    string // commands for a shell, if not empty
	Script           bool   // the file is a script, which is run before Reload
	Volatile         bool   // a restart of the host forgets what was loaded
	Force            bool   // take an older list, and one that takes too much away
	MaxRevokePercent int

	changed func() // for tests: called after each change on disk, and after each command
}

// A Report describes the end of a run.
type Report struct {
	Outcome        Outcome
	Publication    *iprange.Publication // in force; nil if nothing is
	Added, Removed []netip.Prefix       // in the file, or by a list that is held
	Loaded         bool                 // the script was run, or the server loaded the file
	Output         string               // of commands that failed, and of the script
}

// Changes counts and names the added and removed ranges.
func (r Report) Changes() string {
	var parts []string
	if len(r.Added) > 0 {
		parts = append(parts, fmt.Sprintf("%d added (%s)", len(r.Added), words.Few(words.Strings(r.Added))))
	}
	if len(r.Removed) > 0 {
		parts = append(parts, fmt.Sprintf("%d removed (%s)", len(r.Removed), words.Few(words.Strings(r.Removed))))
	}
	return cmp.Or(strings.Join(parts, ", "), "the same ranges")
}

// clockSkew is how far a list may be dated ahead of this host's clock.
const clockSkew = time.Hour

// Update brings the file up to date. After any error, the file in force is the whole old or the whole new one. An
// interrupt ends it between two steps.
func (f *Follower) Update(ctx context.Context) (Report, error) {
	r := &run{Follower: f}
	unlock, err := r.lock(ctx)
	if err != nil {
		return r.report, err
	}
	defer unlock()
	if r.target, err = filepath.EvalSymlinks(f.File); err != nil {
		r.target = f.File // it is not there yet
	}
	if err = r.readState(); err == nil {
		r.tidy()
		err = r.update(ctx)
	}
	if r.state.SHA256 != "" {
		r.report.Publication = r.state.held().Publication
	}
	r.report.Output = r.output.String()
	return r.report, err
}

// lock waits until no other run works on the file.
func (r *run) lock(ctx context.Context) (unlock func(), err error) {
	locked := make(chan error)
	var unlocker func()
	go func() {
		var err error
		unlocker, err = lockedfile.MutexAt(r.File + ".lock").Lock()
		select {
		case locked <- err:
		case <-ctx.Done(): // nobody waits, and it must not block the next run
			if err == nil {
				unlocker()
			}
		}
	}()
	select {
	case err := <-locked:
		return unlocker, err
	case <-ctx.Done():
		return nil, r.fails(Interrupted, context.Cause(ctx))
	}
}

// A run is a Follower at work.
type run struct {
	*Follower
	state  state
	saved  []byte // the state as it is on disk
	target string // the file itself, where File is a symbolic link
	report Report
	output bytes.Buffer
}

// fails ends a run.
func (r *run) fails(o Outcome, err error) error {
	r.report.Outcome = o
	return err
}

func (r *run) update(ctx context.Context) error {
	if err := r.putBack(); err != nil {
		return err
	}
	// If the server cannot load the old file again, it may still load a new one.
	stuck := r.loadOld()
	err := r.follow(ctx)
	if stuck != nil && r.state.Pending != "" {
		if err == nil {
			r.report.Outcome = ReloadFailed
		}
		err = errors.Join(err, stuck)
	}
	return err
}

// follow brings the file up to date. No step is pending.
func (r *run) follow(ctx context.Context) error {
	if err := r.afterRestart(); err != nil {
		return r.fails(ReloadFailed, err)
	}
	held := r.state.held()
	if r.URL != r.state.URL || r.Settings != r.state.Settings {
		held = iprange.Copy{}
	}
	fetched, err := r.Fetch(ctx, held)
	switch {
	case ctx.Err() != nil:
		return r.fails(Interrupted, context.Cause(ctx))
	case err != nil:
		return r.fails(FetchFailed, err)
	case fetched.Publication.Published.After(time.Now().Add(clockSkew)):
		when := fetched.Publication.Published.Format(time.RFC3339)
		return r.fails(FetchFailed, hint.New("the list is from the future: "+when, "check the clock of this host"))
	}
	if err := r.refuse(fetched.Publication); err != nil {
		return err
	}
	next := newState(fetched)
	next.URL, next.Settings, next.SHA256, next.Boot = r.URL, r.Settings, r.state.SHA256, r.boot()
	now, err := sum(r.target)
	if err != nil {
		return err
	}
	// Most new lists differ only in the date: then there is nothing to load.
	dated := *fetched.Publication
	dated.SyncToken, dated.Published = r.state.SyncToken, r.state.Published
	if text, err := r.Render(&dated); err != nil {
		return err
	} else if sumOf(text) == now && now == r.state.SHA256 {
		r.report.Outcome, next.Pending, next.Old = Unchanged, r.state.Pending, r.state.Old
		return r.save(next)
	}
	text, err := r.Render(fetched.Publication)
	if err != nil {
		return err
	}
	next.SHA256 = sumOf(text)
	return r.replace(next, text)
}

// afterRestart loads the file again if the host has restarted since. It needs no network.
func (r *run) afterRestart() error {
	now, err := sum(r.target)
	if err != nil || r.state.Boot == r.boot() || r.state.SHA256 == "" || now != r.state.SHA256 {
		return err
	}
	if err := r.load(); err != nil {
		return fmt.Errorf("load the file again after a restart: %w", err)
	}
	loaded := r.state
	loaded.Boot = r.boot()
	return r.save(loaded)
}

// refuse refuses a list that is older than the one in force, or would take too much of it away.
func (r *run) refuse(p *iprange.Publication) error {
	before, of := r.state.held().Publication.Merged(), r.state.Published
	if r.state.SHA256 == "" || r.Force {
		return nil
	}
	date := p.Published.Format(time.RFC3339)
	if p.Published.Before(of) && !of.After(time.Now().Add(clockSkew)) {
		return r.fails(Older, hint.New(
			fmt.Sprintf("the list of %s is older than that of %s, which the file has", date, of.Format(time.RFC3339)),
			"run again later: a cache may have served an old copy; --force takes it"))
	}
	if r.Settings != r.state.Settings {
		return nil // the change of settings takes those away
	}
	loss := ipspace.Lose(p.Merged(), before)
	if !loss.Exceeds(r.MaxRevokePercent) {
		return nil
	}
	r.report.Added, r.report.Removed = ipspace.Change(before, p.Merged())
	return r.fails(Held, hint.New(
		fmt.Sprintf("the list of %s takes addresses from %d of %s (%.0f%% of IPv4, %.0f%% of IPv6), "+
			"more than MAX_REVOKE_PERCENT=%d allows; this would be lost: %s",
			date, loss.Losing, words.Count(loss.Prefixes, "range"), loss.Percent[0], loss.Percent[1],
			r.MaxRevokePercent, words.Few(words.Strings(loss.Lost))),
		"compare the published list with what would be lost, and if the list is right, run once with --force"))
}

// replace puts a new file in force. The state first records that this has begun, so that the next run can undo a run
// that was killed.
func (r *run) replace(next state, text string) error {
	_, err := os.Stat(r.target)
	begun := r.state
	begun.Pending, begun.Old = cmp.Or(r.state.Pending, replacing), err == nil
	if err := r.save(begun); err != nil {
		return err
	}
	if err := r.putInPlace(text); err != nil {
		return errors.Join(err, r.undo())
	}
	if err := r.shell(r.Check); err != nil {
		return r.fails(CheckFailed, errors.Join(err, r.undo()))
	}
	begun.Pending = loading
	if err := r.save(begun); err != nil {
		return errors.Join(err, r.undo())
	}
	if err := r.load(); err != nil {
		return r.fails(ReloadFailed, errors.Join(err, r.undo()))
	}
	added, removed := ipspace.Change(r.state.held().Publication.Merged(), next.held().Publication.Merged())
	if err := r.save(next); err != nil {
		return errors.Join(err, r.undo())
	}
	_ = os.Remove(r.old())
	r.report.Outcome, r.report.Added, r.report.Removed = Updated, added, removed
	return nil
}

// tidy removes files that a killed run left and nobody needs.
func (r *run) tidy() {
	for _, path := range []string{r.File + ".state", r.target} {
		_ = os.Remove(path + ".cfsg-new")
	}
	if r.state.Pending == "" {
		_ = os.Remove(r.old())
	}
}

func (r *run) old() string { return r.target + ".cfsg-old" }

// putInPlace renames a new file in. The old one first gets a second name, so that there is always a file in place.
func (r *run) putInPlace(text string) error {
	if r.state.Old {
		if err := os.Link(r.target, r.old()); err != nil {
			return fmt.Errorf("keep the old file: %w", err)
		}
		r.stepped()
	}
	if err := writeFile(r.target, []byte(text)); err != nil {
		return err
	}
	r.stepped()
	return nil
}

// undo takes back a replacement that failed.
func (r *run) undo() error {
	if err := r.putBack(); err != nil {
		return err
	}
	return r.loadOld()
}

// putBack puts the old file back if a step is pending, or removes the new one if there was none before. A script that
// was run stays, because it can undo itself.
func (r *run) putBack() (err error) {
	switch {
	case r.state.Pending == "":
		return nil
	case r.state.Old:
		if err = os.Rename(r.old(), r.target); err == nil {
			r.stepped()
			_ = os.Remove(r.old()) // rename(2) keeps two names of one file
		}
	case !r.Script:
		err = os.Remove(r.target)
	}
	r.stepped()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("put the old file back: %w", err)
	}
	return nil
}

// loadOld has the server load the old file, if it may have loaded the new one. Then no step is pending any more.
func (r *run) loadOld() error {
	if r.state.Pending == loading {
		if r.Script && !r.state.Old {
			r.output.WriteString("There is no earlier script to go back to. " +
				"To take out what this one did:   sh " + r.File + " remove\n")
		} else if err := r.load(); err != nil {
			return fmt.Errorf("load the old file again: %w", err)
		}
	}
	if r.state.Pending == "" {
		return nil
	}
	undone := r.state
	undone.Pending, undone.Old = "", false
	return r.save(undone)
}

// load has the server load the file, or runs it if it is a script.
func (r *run) load() error {
	if r.Script {
		if err := r.execute("sh", r.target); err != nil {
			return err
		}
	}
	r.report.Loaded = r.Script || r.Reload != ""
	return r.shell(r.Reload)
}

// stepped notifies a test of a step.
func (r *run) stepped() {
	if r.changed != nil {
		r.changed()
	}
}

// sum returns the SHA-256 of a file, or nothing if there is none.
func sum(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return sumOf(string(text)), err
}

func sumOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// boot identifies the current start of the host, if that matters and the host is Linux: see random(4).
func (r *run) boot() string {
	if !r.Volatile {
		return ""
	}
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// patience is the longest time that a command may take.
const patience = 10 * time.Minute

// shell runs a command in a shell, if there is one. Its output counts only if it fails.
func (r *run) shell(command string) error {
	if command == "" {
		return nil
	}
	before := r.output.Len()
	err := r.execute(shell[0], append(slices.Clone(shell[1:]), command)...)
	if err == nil {
		r.output.Truncate(before)
	}
	return err
}

// execute runs a program to its end, even if cfsg is told to stop meanwhile.
func (r *run) execute(program string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	command.Stdout, command.Stderr = &r.output, &r.output
	command.WaitDelay = 5 * time.Second // in case it starts a server that keeps the output open
	ofItsOwn(command)
	err := command.Run()
	r.stepped()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("not done after %s", patience)
	}
	return fmt.Errorf("%s: %w", args[len(args)-1], err)
}
