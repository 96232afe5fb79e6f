package demo

import (
	"fmt"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
)

// labelWidth is the room for the label of a fact.
const labelWidth = 7

// showRun shows the calls a run has made, and what became of the rules.
func (s *story) showRun(r *run) {
	var calls []string
	for _, c := range r.calls {
		calls = append(calls, s.describeCall(c))
	}
	s.page.Fact("calls", labelWidth, " → ", calls...)
	format := "%d added, %d revoked, %d kept"
	if r.DryRun {
		format = "%d to add, %d to revoke, %d to keep"
	}
	s.page.Fact("rules", labelWidth, "", fmt.Sprintf(format, r.Summary.Added, r.Summary.Revoked, r.kept()))
}

func (s *story) describeCall(c ec2sim.Call) string {
	name := c.Action
	switch c.Action {
	case describe:
		name = "describe groups"
	case look:
		name = "look at interfaces"
	case getQuota:
		name = "get quota"
	case authorize:
		name = fmt.Sprintf("authorize %d in %s", c.Rules, s.nameOf(c.Resource))
	case revoke:
		name = fmt.Sprintf("revoke %d in %s", c.Rules, s.nameOf(c.Resource))
	}
	if c.Error != "" {
		name += " (" + c.Error + ")"
	}
	return name
}

// showGroups shows groups as they are, and what the run, if any, has changed of each.
func (s *story) showGroups(groups []ec2sim.Group, changes string, r *run) {
	var rows [][]string
	for _, g := range groups {
		ipv4, ipv6, foreign := count(g)
		ports := g.Tags[tagPorts]
		if ports == "" {
			ports = "not tagged"
		}
		row := []string{g.Name, ports, ofQuota(ipv4), ofQuota(ipv6), fmt.Sprint(foreign)}
		if r != nil {
			row = append(row, changeOf(r, g.ID))
		}
		rows = append(rows, row)
	}
	s.page.Line()
	s.page.Table([]string{"group", "ports", "IPv4 rules", "IPv6 rules", "foreign", changes}, rows)
}

func ofQuota(n int) string { return fmt.Sprintf("%2d of %d", n, ec2sim.DefaultRulesPerGroup) }

// changeOf returns what a run has changed of a group, or would have.
func changeOf(r *run, id string) string {
	var signs []string
	for _, g := range r.Groups {
		if g.GroupID == id && g.Added > 0 {
			signs = append(signs, fmt.Sprintf("+%d", g.Added))
		}
		if g.GroupID == id && g.Revoked > 0 {
			signs = append(signs, fmt.Sprintf("-%d", g.Revoked))
		}
	}
	return strings.Join(signs, " ")
}

func stamp(d *document) string { return d.publication.Published.Format(time.RFC3339) }

// enumerate names the first n groups of a pool.
func enumerate(pool string, n int) string {
	if n == 2 {
		return fmt.Sprintf("%s-1 and %s-2", pool, pool)
	}
	return fmt.Sprintf("%s-1 to %s-%d", pool, pool, n)
}
