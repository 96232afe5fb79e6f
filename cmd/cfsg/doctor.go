package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"cloudfront-sg-sync/internal/doctor"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/hint"
)

type doctorCommand struct {
	URL               string   `arg:"" optional:"" help:"Where the origin is: a URL, or a host."`
	Host              string   `placeholder:"NAME" help:"The Host header that the distribution forwards."`
	Header            []string `placeholder:"'NAME: VALUE'" sep:"none" help:"A header to send."`
	Requests          int      `placeholder:"N" help:"Send a load of N requests."`
	Concurrency       int      `placeholder:"N" help:"How many of them at a time."`
	ConnectionTimeout seconds  `placeholder:"S" default:"10" help:"The origin's connection timeout."`
	ConnectionAttempt int      `name:"connection-attempts" placeholder:"N" default:"3" help:"The origin's connection attempts."`
	ResponseTimeout   seconds  `placeholder:"S" default:"30" help:"The origin's response timeout."`
	KeepAliveTimeout  seconds  `name:"keepalive-timeout" placeholder:"S" default:"5" help:"The origin's keep-alive timeout."`
	Check             bool     `help:"Look at the security groups of the addresses as well."`
	placeFlags
	outputFlags

	origin doctor.Origin
	header http.Header
}

// seconds is a timeout as CloudFront has it, in whole seconds.
type seconds int

// UnmarshalText reads a number, with or without its unit, as cfsg itself writes it ("8 s") or as Go does ("1m30s").
func (s *seconds) UnmarshalText(text []byte) error {
	plain := strings.ToLower(strings.Join(strings.Fields(string(text)), ""))
	for _, unit := range []string{"seconds", "second", "secs", "sec"} {
		if number, found := strings.CutSuffix(plain, unit); found {
			plain = number + "s"
			break
		}
	}
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

func (s seconds) duration() time.Duration { return time.Duration(s) * time.Second }

// Validate reports flags that make no sense. The bounds of the settings are those of CloudFront; its quotas for the
// response and the keep-alive timeout are 120 s, and can be raised to 180 s. See
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html and
// https://repost.aws/knowledge-center/cloudfront-custom-origin-response
func (c *doctorCommand) Validate() error {
	if c.URL == "" {
		return hint.New("no URL", "give the origin's, such as https://origin.example.com/")
	}
	var err error
	if c.origin, err = doctor.ParseOrigin(c.URL); err != nil {
		return err
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
		flag             string
		value, min, most int
	}{
		{"--requests", c.Requests, 0, doctor.MaxRequests},
		{"--concurrency", c.Concurrency, 0, doctor.MaxConcurrency},
		{"--connection-timeout", int(c.ConnectionTimeout), 1, 10},
		{"--connection-attempts", c.ConnectionAttempt, 1, 3},
		{"--response-timeout", int(c.ResponseTimeout), 1, 180},
		{"--keepalive-timeout", int(c.KeepAliveTimeout), 1, 180},
	} {
		if bound.value < bound.min || bound.value > bound.most {
			return fmt.Errorf("%s=%d is not from %d to %d", bound.flag, bound.value, max(bound.min, 1), bound.most)
		}
	}
	if c.Concurrency > 0 && c.Requests == 0 {
		return hint.New("--concurrency needs --requests", "say with --requests how many to send in all")
	}
	return nil
}

// parseHeaders reads headers. Its errors do not quote values, which may be secret.
func parseHeaders(lines []string) (http.Header, error) {
	header := http.Header{}
	for _, line := range lines {
		name, value, found := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !found || name == "" || strings.ContainsFunc(name, isNoToken) || strings.ContainsFunc(value, unicode.IsControl):
			return nil, errors.New("--header wants 'NAME: VALUE'")
		case strings.EqualFold(name, "Host"):
			return nil, hint.New("--header cannot set Host", "give it with --host")
		}
		header.Add(name, value)
	}
	return header, nil
}

// isNoToken reports characters that the name of a header cannot have: RFC 9110, 5.6.2.
func isNoToken(r rune) bool {
	return r >= unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// unhealthyError is about an origin for which viewers get errors.
type unhealthyError struct{ steps []string }

func (e unhealthyError) Error() string {
	return "viewers get errors from this origin: " + strings.Join(e.steps, ", ")
}

// undecidedError is about an origin that may be healthy or not.
type undecidedError struct{ steps []string }

func (e undecidedError) Error() string {
	return "cannot tell from here whether viewers get errors from this origin: " + strings.Join(e.steps, ", ")
}

// Run looks at the origin.
func (c *doctorCommand) Run(ctx context.Context, t terminal) error {
	live := t.liveLine()
	options := doctor.Options{
		Origin: c.origin, Host: c.Host, Header: c.header,
		Settings: doctor.Settings{
			ConnectionTimeout: c.ConnectionTimeout.duration(), ConnectionAttempts: c.ConnectionAttempt,
			ResponseTimeout: c.ResponseTimeout.duration(), KeepAliveTimeout: c.KeepAliveTimeout.duration(),
		},
		Requests: c.Requests, Concurrency: c.Concurrency,
		Progress: live.set,
	}
	if c.Check {
		options.Guards = []doctor.Check{c.securityGroups(t)}
	}
	if c.json() {
		options.Stepped = func(doctor.Step) { live.clear() }
		report := doctor.Run(ctx, options)
		return errors.Join(document.Write(t.out, report), verdictOf(report))
	}
	w := newDoctorPage(t)
	w.begin(options)
	options.Stepped = func(s doctor.Step) {
		live.clear()
		w.step(s)
	}
	report := doctor.Run(ctx, options)
	if err := w.end(report); err != nil {
		return err
	}
	return verdictOf(report)
}

// verdictOf returns what makes the command fail.
func verdictOf(report *doctor.Report) error {
	failed, undecided := report.StepsWith(doctor.Fail), report.StepsWith(doctor.Unknown)
	switch {
	case report.Interrupted && len(failed) > 0:
		return fmt.Errorf("interrupted; %w", unhealthyError{failed})
	case report.Interrupted:
		return errors.New("interrupted: some checks were not made")
	case len(failed) > 0:
		return unhealthyError{failed}
	case len(undecided) > 0:
		return undecidedError{undecided}
	}
	return nil
}
