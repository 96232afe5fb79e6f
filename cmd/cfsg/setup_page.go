package main

import (
	"fmt"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
)

// show shows an origin as it is, and the steps.
func (r *setupRun) show() {
	w, d := r.page, r.doc
	place := "in " + accountIn(d.Account, d.Region)
	if len(d.Ports) > 0 {
		place = words.Ports(d.Ports) + ", " + place
	}
	w.Line(w.Strong(r.origin.String()), ", ", place)
	for _, l := range d.PrefixLists {
		w.Line(fmt.Sprintf("  prefix list  %s %s, up to %d %s entries", l.PrefixListID, l.Name, l.MaxEntries, l.Family))
	}
	for _, i := range d.Interfaces {
		writeInterface(w.In(2), i.Interface)
		w.In(4).Fact("groups", 8, ", ", words.Strings(i.Groups)...)
	}
	if d.RulesPerPort != nil {
		w.Line()
		w.Say("%s as published %s: %d IPv4 and %d IPv6 rules a port", iprange.Selection{Services: d.Services, Within: d.Within},
			d.PublishedAt.Format(time.RFC3339), d.RulesPerPort.IPv4, d.RulesPerPort.IPv6)
	}
	w.Line()
	for _, note := range d.Notes {
		w.Marked(w.Quiet("–"), note)
	}
	if len(d.Notes) > 0 {
		w.Line()
	}
	switch created := len(r.state.Created) > 0; {
	case len(d.Steps) > 0:
		var rows [][]string
		for i, step := range d.Steps {
			rows = append(rows, page.Row(i+1, step.Action, step.On, step.Detail))
		}
		w.Table([]string{"", "step", "on", ""}, rows)
	case r.Undo:
		w.Line("Setup has created nothing here, so there is nothing to undo.")
	case created:
		w.Line("Nothing to do: all that setup created is up to date.")
	default:
		w.Line("Nothing to do.")
	}
	if !r.Undo && len(d.Steps) > 0 {
		w.Line()
		w.Say("These steps close nothing that is wanted. After them, each network interface is checked.")
	}
	if len(d.Steps) > 0 || r.DryRun { // otherwise it comes right after this
		r.showWorld()
	}
}

// showWorld shows the rules that are open to the world.
func (r *setupRun) showWorld() {
	if len(r.doc.OpenToWorld) == 0 {
		return
	}
	w, in := r.page, r.page.In(2)
	w.Line()
	w.Line(w.Bad("OPEN TO THE WORLD"), ": anyone who finds the origin can bypass CloudFront and its WAF.")
	closable := false
	for _, o := range r.doc.OpenToWorld {
		in.Line(o.String())
		if closable = closable || o.Advice == ""; o.Advice != "" {
			in.Marked(" ", o.Advice)
		}
	}
	if !closable {
		return
	}
	w.Marked(w.Warn("!"), acme)
	if r.doc.Verdict != "" {
		return // the question is next
	}
	switch {
	case r.CloseWorld:
		w.Say("Once CloudFront gets in without them, setup closes those that can be closed.")
	case r.Yes:
		w.Say("Once CloudFront gets in without them, use --close-world to close those that can be closed.")
	default:
		w.Say("Once CloudFront gets in without them, you are asked whether to close those that can be closed.")
	}
}

// acme warns of certificates that are renewed through the door that is about to be closed. See
// https://letsencrypt.org/docs/challenge-types/
const acme = "If the origin renews a certificate by ACME (Let's Encrypt) over port 80 (HTTP-01) or 443 (TLS-ALPN-01), closing stops that, " +
	"and weeks later every request is a 502: use DNS-01 or a certificate of ACM first."

// showVerified shows that everything wanted gets in, and the rules that are open to the world.
func (r *setupRun) showVerified() {
	format := "All of %s gets in at %s through rules that are not open to the world."
	if r.doc.Door.Mark == document.Failed {
		format = "The security groups let all of %s in at %s through rules that are not open to the world, but they are not the whole way."
	}
	r.page.Line()
	r.page.Line(fmt.Sprintf(format, strings.Join(r.doc.Services, ", "), words.Count(len(r.doc.Interfaces), "network interface")))
	if !r.DryRun { // which has shown them
		r.showWorld()
	}
}

// showReopen shows the commands that open again the rules that were closed.
func (r *setupRun) showReopen() {
	shown := false
	for i, o := range r.doc.OpenToWorld {
		if !o.Closed {
			continue
		}
		if !shown {
			r.page.Line()
			r.page.Say("Setup has closed rules that were open to the world. To open them again:")
			shown = true
		}
		o.Reopen = r.ruleCommand("authorize", r.doc.Region, o.Group.ID, o.Rule.RuleID, o.Rule.Description)
		r.page.In(2).Command(shellWords(o.Reopen)...)
		r.doc.OpenToWorld[i] = o
	}
}

// showEnd shows the result, and the tasks that are left.
func (r *setupRun) showEnd() {
	w := r.page
	if r.Undo {
		if len(r.doc.Steps) > 0 {
			w.Line()
			w.Line("All that setup created is gone. Rules that it closed stay closed.")
		}
		return
	}
	w.Line()
	w.Line("Left to do:")
	if h := r.doc.ForOwner; h != nil {
		w.Marked("–", h.Text)
		for _, line := range h.Paste {
			w.Line("    " + line)
		}
	}
	for _, left := range r.doc.Left {
		w.Marked("–", left)
	}
}
