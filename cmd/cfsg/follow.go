package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/export"
	"cloudfront-sg-sync/internal/follow"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"

	"github.com/alecthomas/kong"
)

type followCommand struct {
	Format string `arg:"" predictor:"format" help:"What the firewall or server reads."`
	hostFlags
	outputFlags
	Write            string        `required:"" placeholder:"FILE" predictor:"file" help:"The file to keep up to date."`
	Check            string        `placeholder:"CMD" help:"A command that checks the configuration with the new file."`
	Reload           string        `placeholder:"CMD" help:"A command by which the server takes the new file."`
	Every            time.Duration `placeholder:"TIME" help:"Go on, and look again each time this has passed."`
	MaxRevokePercent string        `placeholder:"N" help:"Hold a list that takes addresses from more than N% of the ranges (default 50)."`
	Force            bool          `help:"Take an older list, and one that takes too much away."`
	PrintUnit        bool          `help:"Print a service and a timer of systemd that do this."`
	DetailedExitcode bool          `help:"Exit with 2 if the file has changed, 0 if not."`
}

// Run keeps a file up to date.
func (c *followCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	format, in, err := c.input(c.Format)
	if err != nil {
		return err
	}
	if in.Admits(format) {
		return hint.New("with --via the file has the load balancer's ranges, which do not follow CloudFront's",
			"write it once, by cfsg export")
	}
	if c.IPRanges == "-" && (c.Every != 0 || c.PrintUnit) {
		return hint.New("stdin can be read only once", "name a URL or a file")
	}
	if c.Every < 0 {
		return hint.New(fmt.Sprintf("--every=%s is negative", c.Every), "use a time such as 6h")
	}
	flags := c.given()
	give(flags, "MAX_REVOKE_PERCENT", "--max-revoke-percent", c.MaxRevokePercent)
	w, err := (placeFlags{rangeFlags: c.rangeFlags}).open(ctx, t, flags)
	if err != nil {
		return err
	}
	if c.PrintUnit {
		return c.printUnit(t, k, format, w.Config)
	}
	f := c.follower(t, format, in, w.Config)
	for {
		changed, err := c.update(ctx, t, k, f, format, w)
		if c.Every == 0 {
			if err == nil && changed && c.DetailedExitcode {
				err = errChanges
			}
			return err
		}
		if err != nil && ctx.Err() == nil {
			printError(t, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Every):
		}
	}
}

// follower returns what keeps the file up to date.
func (c *followCommand) follower(
	t terminal, format export.Format, in export.Input, config config.Config,
) *follow.Follower {
	in.Selection, in.TagKey = config.Selection, config.TagKey
	sorted := func(names []string) []string { return slices.Sorted(slices.Values(names)) } // their order does not count
	settings := iprange.Selection{Services: sorted(in.Selection.Services), Within: sorted(in.Selection.Within)}
	f := &follow.Follower{
		File: c.Write, Settings: settings.String() + ", " + families(config), Check: c.Check, Reload: c.Reload,
		Script: format.Script, Volatile: format.Volatile, Force: c.Force, MaxRevokePercent: config.MaxRevokePercent,
		Fetch: func(ctx context.Context, _ iprange.Copy) (iprange.Copy, error) {
			r, err := c.read(ctx, t, config)
			return iprange.Copy{Publication: r.Publication}, err
		},
		Render: func(p *iprange.Publication) (string, error) {
			var text strings.Builder
			in.Publication = p
			err := format.Write(&text, in)
			return text.String(), err
		},
	}
	if url := cmp.Or(c.IPRanges, config.URL); isURL(url) {
		f.URL = url
		f.Fetch = func(ctx context.Context, held iprange.Copy) (iprange.Copy, error) {
			fetcher := iprange.Fetcher{URL: url, Selection: config.Selection, Held: held}
			_, err := fetcher.Fetch(ctx, nil)
			return fetcher.Last(), err
		}
	}
	return f
}

func families(c config.Config) string {
	return strings.ToLower(strings.Join(words.Strings(c.Families()), " "))
}

// update brings the file up to date, and says how that ended.
func (c *followCommand) update(
	ctx context.Context, t terminal, k *kong.Context, f *follow.Follower, format export.Format, at *scope,
) (changed bool, err error) {
	r, err := f.Update(ctx)
	switch {
	case r.Outcome == follow.Interrupted:
		err = errInterrupted
	case r.Outcome == "":
		return false, err // wrong usage, or a disk that is full
	}
	fmt.Fprint(t.err, r.Output)
	reload := strings.ReplaceAll(format.Reload, "FILE", c.Write)
	d := document.NewFollow(format.Name, c.Write, at.settings, r, err, reload, next(k))
	return r.Outcome == follow.Updated, errors.Join(err, c.print(t, d, func(w *page.Page) {
		w.Line(at.Selection.String(), " in ", c.Write, ", for ", format.Name)
		w.Line(w.Quiet("settings: " + d.Settings.Origin()))
	}))
}

// printUnit prints what has systemd do this from time to time. All settings are in it, as systemd has another
// environment and another folder.
func (c *followCommand) printUnit(t terminal, k *kong.Context, format export.Format, config config.Config) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	file, err := filepath.Abs(c.Write)
	if err != nil {
		return err
	}
	source := cmp.Or(c.IPRanges, config.URL)
	if !isURL(source) {
		if source, err = filepath.Abs(source); err != nil {
			return err
		}
	}
	more := []string{
		format.Name, "--write", file, "--ip-ranges", source,
		"--max-revoke-percent", fmt.Sprint(config.MaxRevokePercent),
	}
	add := func(flag string, values ...string) {
		for _, value := range values {
			more = append(more, flag, value)
		}
	}
	add("--service", config.Selection.Services...)
	add("--within", config.Selection.Within...)
	add("--family", strings.Fields(families(config))...)
	without := append([]string{"every", "force", "print-unit", "stack"}, mannersOf...)
	name := follow.UnitName(file)
	fmt.Fprint(t.out, follow.Unit{
		Name: name, File: file, Every: cmp.Or(c.Every, 6*time.Hour),
		Writable: append([]string{filepath.Dir(file)}, format.Writes...),
		Command:  slices.Concat([]string{program, "follow"}, more, inherited(k, without, "follow", more)),
	})
	fmt.Fprintf(t.err, "To install it, as root:   cfsg follow … --print-unit | "+
		"awk '/^# \\/etc\\/systemd\\/system\\// { f = $2 } { print > f }' && "+
		"systemctl daemon-reload && systemctl enable --now %s.timer\n", name)
	return nil
}
