package main

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/distribution"
	"cloudfront-sg-sync/internal/doctor"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/page"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
)

// examineDistribution looks at each origin of a distribution as CloudFront asks it.
func (c *doctorCommand) examineDistribution(ctx context.Context, t terminal, k *kong.Context) error {
	read, err := c.readDistribution(ctx, t)
	if err != nil {
		return err
	}
	d := document.Distribution{Distribution: read, OpenToWorld: []door.WorldRule{}, Origins: make([]document.DistributionOrigin, len(read.Origins))}
	live := t.liveLine()
	var group sync.WaitGroup
	for i, o := range read.Origins {
		group.Go(func() { d.Origins[i] = c.examineOrigin(ctx, t, k, o, live) })
	}
	group.Wait()
	live.clear()
	if d.Judge(); d.Mark != document.OK && len(d.Next) == 0 {
		d.Next = next(k)("doctor")
	}
	undecided := false
	for _, o := range d.Origins {
		undecided = undecided || slices.ContainsFunc(o.Examinations, func(e document.Doctor) bool { return e.Verdict == doctor.Unknown })
	}
	err = c.print(t, d, func(w *page.Page) { writeDistribution(doctorPage{w}, d) })
	return cmp.Or(err, c.endOf(d.Judgement, ctx.Err() != nil, undecided))
}

func (c *doctorCommand) readDistribution(ctx context.Context, t terminal) (*distribution.Distribution, error) {
	at, err := c.openOne(ctx, t, "a distribution's origins are looked at", c.given())
	if err != nil {
		return nil, err
	}
	c.shareRanges(ctx, t, at.Config)
	defer t.progress("reading the distribution …")()
	client := cloudfront.NewFromConfig(at.inAccount())
	return distribution.Read(ctx, distribution.Narrow(client), c.Distribution, c.Path)
}

// shareRanges has all origins checked against the same ranges, which are read when the first asks for them.
func (c *doctorCommand) shareRanges(ctx context.Context, t terminal, settings config.Config) {
	c.ranges = sync.OnceValues(func() ([]byte, error) {
		r, err := c.read(ctx, t, settings)
		return r.document, err
	})
}

// examineOrigin looks at one origin, in each way in which CloudFront asks it.
func (c *doctorCommand) examineOrigin(ctx context.Context, t terminal, k *kong.Context, o distribution.Origin, live *liveLine) document.DistributionOrigin {
	d := document.DistributionOrigin{
		ID: o.ID, DomainName: o.DomainName, LeftOut: o.LeftOut, Notes: append([]string{}, o.Notes...), Examinations: []document.Doctor{},
	}
	for _, options := range o.Examinations {
		c.override(&options)
		options.Progress = live.set
		d.Examinations = append(d.Examinations, c.examine(ctx, t, k, options))
	}
	if d.Judge(); d.Mark != document.OK && len(d.Next) == 0 {
		d.Next = next(k)("doctor")
	}
	return d
}

// override takes what flags say for what the distribution says.
func (c *doctorCommand) override(o *doctor.Options) {
	s := &o.Settings
	s.ConnectionTimeout = cmp.Or(c.ConnectionTimeout.duration(), s.ConnectionTimeout)
	s.ConnectionAttempts = cmp.Or(c.ConnectionAttempt, s.ConnectionAttempts)
	s.ResponseTimeout = cmp.Or(c.ResponseTimeout.duration(), s.ResponseTimeout)
	s.KeepAliveTimeout = cmp.Or(c.KeepAliveTimeout.duration(), s.KeepAliveTimeout)
	o.Host, o.Header = cmp.Or(c.Host, o.Host), c.header
	o.Requests, o.Concurrency = c.Requests, c.Concurrency
}

// writeDistribution shows the origins, the causes of errors first.
func writeDistribution(w doctorPage, d document.Distribution) {
	w.Line(w.Strong(d.ID), "  ", strings.TrimSpace(d.DomainName+" "+strings.Join(d.Aliases, " ")))
	if !d.Enabled {
		w.Line(w.Warn("! "), "the distribution is disabled: viewers get no answer at all")
	}
	if d.WebACL != "" {
		w.Line(w.Quiet("its web ACL sees the requests of viewers, not those of other distributions: " + d.WebACL))
	}
	for _, o := range d.Origins {
		w.Line()
		w.Line(w.Strong("origin "+o.ID), "  ", o.DomainName)
		if o.LeftOut != "" {
			w.Line(w.Quiet("- left out: " + o.LeftOut))
		}
		for _, note := range o.Notes {
			w.Line(w.Warn("! "), note)
		}
		for _, e := range o.Examinations {
			w.Line()
			w.begin(e.Report)
			w.findings(e.Report, doctor.Fail, doctor.Unknown, doctor.Warn)
			w.Line()
			for _, s := range e.Steps {
				w.step(s)
			}
			w.findings(e.Report, doctor.OK)
		}
	}
}
