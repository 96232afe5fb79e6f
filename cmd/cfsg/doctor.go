package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/distribution"
	"cloudfront-sg-sync/internal/doctor"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
)

type doctorCommand struct {
	URL               string   `arg:"" optional:"" help:"Where the origin is: a URL, or a host."`
	Host              string   `placeholder:"NAME" help:"The Host header that the distribution forwards."`
	Header            []string `placeholder:"'NAME: VALUE'" sep:"none" help:"A header to send."`
	Requests          int      `placeholder:"N" help:"Send a load of N requests."`
	Concurrency       int      `placeholder:"N" help:"How many of them at a time."`
	ConnectionTimeout seconds  `placeholder:"S" help:"The origin's connection timeout."`
	ConnectionAttempt int      `name:"connection-attempts" placeholder:"N" help:"The origin's connection attempts."`
	ResponseTimeout   seconds  `placeholder:"S" help:"The origin's response timeout."`
	KeepAliveTimeout  seconds  `name:"keepalive-timeout" placeholder:"S" help:"The origin's keep-alive timeout."`
	Check             bool     `help:"Look at the security groups of the addresses as well."`
	Distribution      string   `placeholder:"ID" help:"Examine the origins of a distribution: its ID, domain name or an alias."`
	Path              []string `placeholder:"PATH" help:"A path to ask a distribution's origins for."`
	placeFlags
	outputFlags

	origin doctor.Origin
	header http.Header
	ranges func() ([]byte, error) // for several origins
}

// seconds is a timeout as CloudFront has it, in whole seconds.
type seconds int

// UnmarshalText reads a number, with or without its unit, as cfsg itself writes it ("8 s") or as Go does ("1m30s").
func (s *seconds) UnmarshalText(text []byte) error {
	plain := strings.Join(strings.Fields(string(text)), "")
	if _, err := strconv.Atoi(plain); err == nil {
		plain += "s"
	}
	d, err := time.ParseDuration(plain)
	if err != nil || d < time.Second || d%time.Second != 0 || d > time.Hour {
		return fmt.Errorf("%q is not a number of seconds", text)
	}
	*s = seconds(d / time.Second)
	return nil
}

func (s seconds) duration() doctor.Seconds { return doctor.Seconds(s) * doctor.Seconds(time.Second) }

// Validate reports flags that make no sense. The bounds of the settings are those of CloudFront; its quotas for the
// response and the keep-alive timeout are 120 s, and can be raised to 180 s. See
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html and
// https://repost.aws/knowledge-center/cloudfront-custom-origin-response
func (c *doctorCommand) Validate() error {
	switch {
	case c.URL == "" && c.Distribution == "":
		return hint.New("no URL", "give the origin's, such as https://origin.example.com/, or name its distribution with --distribution")
	case c.URL != "" && c.Distribution != "":
		return hint.New("a URL and --distribution", "give one of them; --path says what to ask a distribution's origins for")
	case c.URL != "" && len(c.Path) > 0:
		return hint.New("--path needs --distribution", "put the path into the URL")
	}
	var err error
	if c.URL != "" {
		if c.origin, err = doctor.ParseOrigin(c.URL); err != nil {
			return err
		}
	}
	if c.Host != "" {
		if err := doctor.CheckHost(c.Host); err != nil {
			return fmt.Errorf("--host: %w", err)
		}
	}
	if c.header, err = parseHeaders(c.Header); err != nil {
		return err
	}
	for _, bound := range []struct {
		flag        string
		value, most int
	}{
		{"--requests", c.Requests, doctor.MaxRequests},
		{"--concurrency", c.Concurrency, doctor.MaxConcurrency},
		{"--connection-timeout", int(c.ConnectionTimeout), 10},
		{"--connection-attempts", c.ConnectionAttempt, 3},
		{"--response-timeout", int(c.ResponseTimeout), 180},
		{"--keepalive-timeout", int(c.KeepAliveTimeout), 180},
	} {
		if bound.value < 0 || bound.value > bound.most {
			return fmt.Errorf("%s=%d is not from 1 to %d", bound.flag, bound.value, bound.most)
		}
	}
	if c.Concurrency > 0 && c.Requests == 0 {
		return hint.New("--concurrency needs --requests", "say with --requests how many to send in all")
	}
	return nil
}

// headerLine is the name of a header, which is a token (RFC 9110, 5.6.2), and its value.
var headerLine = regexp.MustCompile("^\\s*([-!#$%&'*+.^_`|~0-9A-Za-z]+)\\s*:\\s*([^\\p{Cc}]*?)\\s*$")

// parseHeaders reads headers. Its errors do not quote values, which may be secret.
func parseHeaders(lines []string) (http.Header, error) {
	header := http.Header{}
	for _, line := range lines {
		m := headerLine.FindStringSubmatch(line)
		switch {
		case m == nil:
			return nil, errors.New("--header wants 'NAME: VALUE'")
		case strings.EqualFold(m[1], "Host"):
			return nil, hint.New("--header cannot set Host", "give it with --host")
		}
		header.Add(m[1], m[2])
	}
	return header, nil
}

// Run examines the origin, or each origin of a distribution.
func (c *doctorCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	if c.Distribution != "" {
		return c.examineDistribution(ctx, t, k)
	}
	options := doctor.Options{Origin: c.origin, Settings: doctor.DefaultSettings}
	c.override(&options)
	live := t.liveLine()
	options.Progress = live.set
	w := doctorPage{page.New(t.out, colorful(t.out))}
	if !c.json() {
		w.begin(&doctor.Report{URL: c.origin.String(), Host: cmp.Or(c.Host, c.origin.URL.Host), Settings: options.Settings})
		w.Line()
	}
	options.Stepped = func(s doctor.Step) {
		if live.clear(); !c.json() {
			w.step(s)
		}
	}
	d := c.examine(ctx, t, k, options)
	err := c.print(t, d, func(p *page.Page) { doctorPage{p}.end(d) })
	return cmp.Or(err, c.endOf(d.Judgement, d.Interrupted, d.Verdict == doctor.Unknown))
}

// examine probes an origin and, if asked to, its door. The next command shows more about the findings, or whether
// following the advice helped.
func (c *doctorCommand) examine(ctx context.Context, t terminal, k *kong.Context, o doctor.Options) document.Doctor {
	var check *document.Check
	if c.Check || c.Distribution != "" {
		o.Groups = func(ctx context.Context, known *doctor.Report) (step doctor.Step) {
			step, check = c.securityGroups(ctx, t, o, known)
			return step
		}
	}
	d := document.NewDoctor(doctor.Run(ctx, o), check)
	switch {
	case d.Mark == document.OK:
	case slices.Contains(d.StepsWith(d.Verdict), "groups") && len(d.Addresses) > 0:
		d.Next = next(k)("check", append(doorOf(o.Origin, d.Addresses), "--port", strconv.Itoa(int(o.Origin.Port)))...)
	case c.Distribution != "":
		d.Next = next(k)("doctor")
	default:
		d.Next = next(k)("doctor", "--check", c.URL)
	}
	return d
}

// endOf returns what makes the command fail.
func (c *doctorCommand) endOf(j document.Judgement, interrupted, undecided bool) error {
	switch {
	case interrupted:
		return errors.New(j.Cause)
	case j.Mark == document.Failed || undecided:
		return c.failed(j)
	}
	return nil
}

// examineDistribution examines each origin of a distribution as CloudFront asks it.
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
	isUnknown := func(e document.Doctor) bool { return e.Verdict == doctor.Unknown }
	undecided := slices.ContainsFunc(d.Origins, func(o document.DistributionOrigin) bool {
		return slices.ContainsFunc(o.Examinations, isUnknown)
	})
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

// examineOrigin examines one origin, in every way in which CloudFront asks it.
func (c *doctorCommand) examineOrigin(ctx context.Context, t terminal, k *kong.Context, o distribution.Origin, live *liveLine) document.DistributionOrigin {
	d := document.DistributionOrigin{Origin: o, Examinations: []document.Doctor{}}
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
