package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/doctor"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
)

// A doctorPage prints a report while it is made: a line for each step, then the figures, then the advice.
type doctorPage struct{ *page.Page }

// begin names the origin, and the settings of CloudFront that it is judged by.
func (w doctorPage) begin(r *doctor.Report) {
	s := r.Settings
	line := w.Strong(r.URL)
	if u, err := url.Parse(r.URL); err == nil && u.Host != r.Host {
		line += w.Quiet("  Host: " + r.Host)
	}
	w.Line(line)
	w.Line(w.Quiet(fmt.Sprintf("as CloudFront sees it: %s to connect (%s), %s to answer, idle connections kept for %s",
		s.ConnectionTimeout, words.Count(s.ConnectionAttempts, "attempt"), s.ResponseTimeout, s.KeepAliveTimeout)))
}

func (w doctorPage) step(s doctor.Step) {
	summary := s.Summary
	if s.Verdict == doctor.Skipped {
		summary = w.Quiet(summary)
	}
	w.Marked(w.mark(s.Verdict)+" "+label(s), summary)
}

const labelWidth = 12 // of the names of steps

func label(s doctor.Step) string { return fmt.Sprintf("%-*s", labelWidth-1, s.Name) }

func (w doctorPage) mark(v doctor.Verdict) string {
	switch v {
	case doctor.OK:
		return w.Good("✓")
	case doctor.Warn:
		return w.Warn("!")
	case doctor.Unknown:
		return w.Warn("?")
	case doctor.Fail:
		return w.Bad("✗")
	}
	return w.Quiet("-")
}

// end writes the figures and the findings.
func (w doctorPage) end(d document.Doctor) {
	w.times("ms, one at a time", d.Timing)
	if d.Load != nil {
		w.times(fmt.Sprintf("ms, %d at a time, %.0f/s", d.Load.Concurrency, d.Load.Rate), d.Load)
	}
	w.findings(d.Report, doctor.Fail, doctor.Unknown, doctor.Warn, doctor.OK)
}

// findings writes the findings, the gravest first.
func (w doctorPage) findings(r *doctor.Report, verdicts ...doctor.Verdict) {
	for _, v := range verdicts {
		for _, s := range r.Steps {
			for _, f := range s.Findings {
				if f.Verdict == v {
					w.finding(s, f)
				}
			}
		}
	}
}

// times writes a table of how long things took.
func (w doctorPage) times(how string, t *doctor.Timing) {
	if t == nil || t.FirstByte == nil {
		return
	}
	var rows [][]string
	names := []string{"connect", "tls", "first byte", "total"}
	for i, s := range []*doctor.Spread{t.Connect, t.TLS, t.FirstByte, t.Total} {
		if s == nil {
			continue
		}
		row := []string{names[i]}
		for _, d := range []doctor.Seconds{s.Min, s.Median, s.P95, s.P99, s.Max} {
			row = append(row, fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)))
		}
		rows = append(rows, row)
	}
	w.In(2).Section([]string{how, "least", "median", "p95", "p99", "most"}, rows)
}

// finding writes a finding and its advice.
func (w doctorPage) finding(s doctor.Step, f doctor.Finding) {
	message := f.Message
	if f.CloudFrontStatus != 0 && f.Verdict == doctor.Fail {
		message += fmt.Sprintf(" (CloudFront answers %d)", f.CloudFrontStatus)
	}
	message += fmt.Sprintf(" [%s]", f.Code)
	w.Line()
	if f.Verdict == doctor.OK { // only a note
		w.Marked("  "+w.Quiet(label(s)), w.Quiet(strings.TrimSpace(message+" "+f.Advice)))
		return
	}
	w.Marked(w.mark(f.Verdict)+" "+w.Strong(label(s)), message)
	in := w.In(2 + labelWidth)
	if f.Advice != "" {
		in.Say("%s", f.Advice)
	}
	if f.Source != "" {
		in.Line(w.Quiet(f.Source))
	}
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
