package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/doctor"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
)

// labelWidth is what the names of the steps take.
const labelWidth = 12

// A doctorPage shows a report as it comes to be: a line for each step, then the figures, then what to do.
type doctorPage struct{ *page.Page }

func newDoctorPage(t terminal) doctorPage {
	return doctorPage{page.New(t.out, colorful(t.out))}
}

// begin names the origin, and the settings of CloudFront that it is judged by.
func (w doctorPage) begin(r *doctor.Report) {
	s := r.Settings
	line := w.Strong(r.URL)
	if u, err := url.Parse(r.URL); err == nil && u.Host != r.Host {
		line += w.Quiet("  Host: " + r.Host)
	}
	w.Line(line)
	w.Line(w.Quiet(fmt.Sprintf("as CloudFront sees it: %s to connect (%s), %s to answer, idle connections kept for %s",
		doctor.Format(s.ConnectionTimeout), words.Count(s.ConnectionAttempts, "attempt"),
		doctor.Format(s.ResponseTimeout), doctor.Format(s.KeepAliveTimeout))))
}

// step writes a line.
func (w doctorPage) step(s doctor.Step) {
	summary := s.Summary
	if s.Verdict == doctor.Skipped {
		summary = w.Quiet(summary)
	}
	prefix := w.mark(s.Verdict) + " " + fmt.Sprintf("%-*s", labelWidth, s.Name)
	for _, line := range page.Wrap(unbroken(summary), " ", page.Width-2-labelWidth) {
		w.Line(prefix, line)
		prefix = strings.Repeat(" ", 2+labelWidth)
	}
}

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

// end writes the figures, what was found, and the judgement.
func (w doctorPage) end(d document.Doctor) error {
	w.times("ms, one at a time", d.Timing)
	if d.Load != nil {
		w.times(fmt.Sprintf("ms, %d at a time, %.0f/s", d.Load.Concurrency, d.Load.Rate), d.Load)
	}
	w.findings(d.Report, doctor.Fail, doctor.Unknown, doctor.Warn, doctor.OK)
	writeJudgement(w.Page, d.Judgement)
	return w.Err()
}

// findings writes what was found, in the order of the verdicts.
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
	for _, row := range []struct {
		name   string
		spread *doctor.Spread
	}{{"connect", t.Connect}, {"tls", t.TLS}, {"first byte", t.FirstByte}, {"total", t.Total}} {
		if s := row.spread; s != nil {
			rows = append(rows, []string{row.name, inMilliseconds(s.Min), inMilliseconds(s.Median), inMilliseconds(s.P95), inMilliseconds(s.P99), inMilliseconds(s.Max)})
		}
	}
	w.Line()
	w.Indent(2)
	w.Table([]string{how, "least", "median", "p95", "p99", "most"}, rows)
	w.Indent(0)
}

// unbroken splits a text where a line may end: not between a number and its unit.
func unbroken(text string) []string {
	var words []string
	for word := range strings.FieldsSeq(text) {
		unit := strings.TrimRight(word, ".,;:)")
		last := len(words) - 1
		if last >= 0 && endsInDigit(words[last]) && slices.Contains([]string{"s", "ms", "byte", "bytes", "kB", "MB"}, unit) {
			words[last] += " " + word
			continue
		}
		words = append(words, word)
	}
	return words
}

func endsInDigit(word string) bool {
	last := word[len(word)-1]
	return last >= '0' && last <= '9'
}

func inMilliseconds(s doctor.Seconds) string {
	return fmt.Sprintf("%.1f", float64(s)/float64(time.Millisecond))
}

// finding writes what was found, and what to do about it.
func (w doctorPage) finding(s doctor.Step, f doctor.Finding) {
	w.Line()
	message := f.Message
	if f.CloudFrontStatus != 0 && f.Verdict == doctor.Fail {
		message += fmt.Sprintf(" (CloudFront answers %d)", f.CloudFrontStatus)
	}
	message += fmt.Sprintf(" [%s]", f.Code)
	label := fmt.Sprintf("%-*s", labelWidth, s.Name)
	style := func(line string) string { return line }
	prefix := w.mark(f.Verdict) + " " + w.Strong(label)
	if f.Verdict == doctor.OK { // only a note
		prefix, style = "  "+w.Quiet(label), w.Quiet
	}
	for _, text := range []string{message, f.Advice} {
		if text == "" {
			continue
		}
		for _, line := range page.Wrap(unbroken(text), " ", page.Width-2-labelWidth) {
			w.Line(prefix, style(line))
			prefix = strings.Repeat(" ", 2+labelWidth)
		}
	}
	if f.Source != "" && f.Verdict != doctor.OK {
		w.Line(prefix, w.Quiet(f.Source))
	}
}
