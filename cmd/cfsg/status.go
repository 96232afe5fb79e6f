package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/page"
)

type statusCommand struct {
	accountFlags
	outputFlags
}

// Run shows how all managed groups are.
func (c *statusCommand) Run(ctx context.Context, t terminal) error {
	o, err := c.operation(ctx, t, c.given())
	if err != nil {
		return err
	}
	// Forced, as what is left over is left over, whether a sync would hold it
	// back or not.
	p, err := propose(ctx, t, o.Engine, engine.Request{Force: true})
	if err != nil {
		return err
	}
	if c.json() {
		err = writeJSON(t.out, p.status())
	} else {
		err = p.writeStatus(t, time.Now())
	}
	if err != nil {
		return err
	}
	return errors.Join(p.failures()...)
}

// writeStatus shows pools and groups at a glance.
func (p *proposal) writeStatus(t terminal, now time.Time) error {
	w := page.New(t.out, colorful(t.out))
	p.headline(w)
	status := p.status()
	for i, v := range p.previews {
		if v.Err != nil {
			continue // told at the end, with the other failures
		}
		targetHeadline(w, v)
		w.Line()
		w.Indent(2)
		var rows [][]string
		for _, pool := range status.Targets[i].Pools {
			for _, g := range pool.Groups {
				rows = append(rows, statusRow(w, pool, g, now))
			}
		}
		if len(rows) == 0 {
			w.Line("no group is tagged ", p.engine.TagKey)
		} else {
			w.Table([]string{"pool", "group", "name", "ports", "rules", "free v4", "free v6", "missing", "left over", "foreign", "applied"}, rows)
		}
		for _, pool := range status.Targets[i].Pools {
			if pool.NoRoomFor > 0 {
				w.Line()
				w.Line(w.Bad(w.Strong("TOO SMALL")), fmt.Sprintf(": %s has no room for %s: part of CloudFront is shut out", pool.Name, countOf(pool.NoRoomFor, "rule", "rules")))
			}
		}
		for _, x := range status.Targets[i].Exposures {
			writeExposure(w, x, v.Target.Region)
		}
		w.Indent(0)
	}
	return w.Err()
}

func statusRow(w *page.Page, pool statusPool, g statusGroup, now time.Time) []string {
	name := pool.Name
	if name == g.GroupID {
		name = "" // a group of its own
	}
	return []string{
		name, g.GroupID, g.Name, ports(w, g.Ports, g.Error), fmt.Sprint(g.Rules),
		free(w, g.Free.IPv4), free(w, g.Free.IPv6),
		orQuiet(w, g.Missing, w.Bad), orQuiet(w, g.LeftOver, w.Warn), fmt.Sprint(g.Foreign), applied(g.AppliedPublication, now),
	}
}

// free marks a family that has no slot to spare.
func free(w *page.Page, n int) string {
	if n <= 0 {
		return w.Warn(fmt.Sprint(n))
	}
	return fmt.Sprint(n)
}

// orQuiet shows a number that had better be zero.
func orQuiet(w *page.Page, n int, style func(string) string) string {
	if n == 0 {
		return w.Quiet("0")
	}
	return style(fmt.Sprint(n))
}

// applied says how old the newest publication is that a rule was made from.
func applied(published *time.Time, now time.Time) string {
	if published == nil {
		return "never"
	}
	return fmt.Sprintf("%s (%s)", published.Format(time.DateOnly), age(now.Sub(*published)))
}

func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Hour:
		return "now"
	case d < day:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return countOf(int(d/day), "day", "days")
}

// writeExposure says loudly what makes all the effort pointless.
func writeExposure(w *page.Page, x statusExposure, region string) {
	w.Line()
	w.Line(w.Bad(w.Strong("OPEN TO THE WORLD")), fmt.Sprintf(": %s lets %s in on port %s", x.GroupID, x.Source, strings.Join(x.Ports, " ")), quoted(x.Description))
	if x.Owned {
		w.Line("Whoever finds the origin passes CloudFront and its WAF by. cfsg apply revokes the rule.")
		return
	}
	w.Line("Whoever finds the origin passes CloudFront and its WAF by. The rule is not this tool's; revoke it:")
	w.Line(w.Strong("  " + x.revokeCommand(region)))
}

func quoted(description string) string {
	if description == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", description)
}
