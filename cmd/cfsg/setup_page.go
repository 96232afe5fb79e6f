package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/setup"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
)

// page returns a page for a person, or one that nobody sees where JSON is wanted.
func (r *setupRun) page() checkPage {
	if r.json() {
		return checkPage{Page: page.New(new(strings.Builder), false)}
	}
	return checkPage{Page: page.New(r.t.out, colorful(r.t.out))}
}

// show shows an origin as it is, and the steps.
func (r *setupRun) show(steps []setup.Step) error {
	w, d := r.page(), r.doc
	place := d.Region
	if d.Account != "" {
		place = "account " + d.Account + " in " + d.Region
	}
	if len(d.Ports) > 0 {
		place = words.Ports(d.Ports) + ", in " + place
	}
	w.Line(w.Strong(r.origin.String()), ", ", place)
	for _, l := range d.PrefixLists {
		w.Line(fmt.Sprintf("  prefix list  %s %s, up to %d %s entries", l.PrefixListID, l.Name, l.MaxEntries, l.Family))
	}
	for _, i := range d.Interfaces {
		w.Indent(2)
		w.networkInterface(i.Interface)
		var groups []string
		for _, g := range i.Groups {
			groups = append(groups, strings.TrimSpace(g.ID+" "+g.Name))
		}
		w.Indent(4)
		w.Fact("groups", 8, ", ", groups...)
	}
	w.Indent(0)
	if d.RulesPerPort != nil {
		w.Line()
		w.Say("%s as published %s: %d IPv4 and %d IPv6 rules a port", iprange.Selection{Services: d.Services, Within: d.Within},
			d.PublishedAt.Format(time.RFC3339), d.RulesPerPort.IPv4, d.RulesPerPort.IPv6)
	}
	w.Line()
	for _, note := range d.Notes {
		w.note(w.Quiet("– "), note)
	}
	if len(d.Notes) > 0 {
		w.Line()
	}
	r.showSteps(w, steps)
	if len(steps) > 0 || r.DryRun { // otherwise it comes right after this
		r.showWorld(w)
	}
	return w.Err()
}

func (r *setupRun) showSteps(w checkPage, steps []setup.Step) {
	switch {
	case len(steps) == 0 && r.Undo:
		w.Line("Setup has created nothing here, so there is nothing to undo.")
		return
	case len(steps) == 0:
		w.Line("Nothing to do: all that setup created is up to date.")
		return
	}
	var rows [][]string
	for i, step := range steps {
		rows = append(rows, []string{fmt.Sprint(i + 1), string(step.Action), step.On, step.Detail})
	}
	w.Table([]string{"", "step", "on", ""}, rows)
	if !r.Undo {
		w.Line()
		w.Say("These steps close nothing that is wanted. After them, each network interface is checked.")
	}
}

// showWorld shows the rules that are open to the world.
func (r *setupRun) showWorld(w checkPage) {
	if len(r.doc.OpenToWorld) == 0 {
		return
	}
	w.Line()
	w.Line(w.Bad("OPEN TO THE WORLD"), ": anyone who finds the origin can bypass CloudFront and its WAF.")
	w.Indent(2)
	for _, o := range r.doc.OpenToWorld {
		w.Line(o.String())
		if o.Advice != "" {
			w.note("  ", o.Advice)
		}
	}
	w.Indent(0)
	if closable := slices.ContainsFunc(r.doc.OpenToWorld, func(o setup.Opening) bool { return o.Advice == "" }); closable {
		w.note(w.Warn("! "), acme)
	}
	if r.doc.Verdict == "" {
		w.Say("Once CloudFront gets in without them, you are asked whether to close those that can be closed.")
	}
}

// acme warns of certificates that are renewed through the door that is about to be closed. See
// https://letsencrypt.org/docs/challenge-types/
const acme = "If the origin renews a certificate by ACME (Let's Encrypt) over port 80 (HTTP-01) or 443 (TLS-ALPN-01), closing stops that, " +
	"and weeks later every request is a 502: use DNS-01 or a certificate of ACM first."

// showVerified shows that everything wanted gets in, and the rules that are open to the world.
func (r *setupRun) showVerified() error {
	w := r.page()
	w.Line()
	format := "All of %s gets in at %s through rules that are not open to the world."
	if r.doc.Door.Mark == document.Failed {
		format = "The security groups let all of %s in at %s through rules that are not open to the world, but they are not the whole way."
	}
	w.Line(fmt.Sprintf(format, strings.Join(r.doc.Services, ", "), words.Count(len(r.doc.Interfaces), "network interface")))
	r.showWorld(w)
	return w.Err()
}

// showReopen shows the commands that open again the rules that were closed.
func (r *setupRun) showReopen() {
	w := r.page()
	shown := false
	for _, o := range r.doc.OpenToWorld {
		if !o.Closed {
			continue
		}
		if !shown {
			w.Line()
			w.Say("Setup has closed rules that were open to the world. To open them again:")
			shown = true
		}
		w.Indent(2)
		w.Command(shellWords(o.Reopen)...)
		w.Indent(0)
	}
}

// warnShutOut warns that an undo shuts CloudFront out.
func (r *setupRun) warnShutOut(interfaces []string) {
	w := r.page()
	w.Line()
	w.note(w.Bad("! "), fmt.Sprintf("Without these groups part of CloudFront, or all of it, is shut out at %s: viewers get 504.", words.Few(interfaces)))
}

// showEnd shows the result, and the tasks that are left.
func (r *setupRun) showEnd() error {
	w := r.page()
	if r.Undo {
		if len(r.doc.Steps) > 0 {
			w.Line()
			w.Line("All that setup created is gone. Rules that it closed stay closed.")
		}
		return w.Err()
	}
	w.Line()
	w.Line("Left to do:")
	if h := r.doc.ForOwner; h != nil {
		w.note("– ", h.Text)
		for _, line := range h.Paste {
			w.Line("    " + line)
		}
	}
	for _, left := range r.doc.Left {
		w.note("– ", left)
	}
	return w.Err()
}
