package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
)

// writeStatus shows pools and groups at a glance.
func writeStatus(t terminal, p *engine.Proposal, doc document.Status, f placeFlags, now time.Time) error {
	w := page.New(t.out, colorful(t.out))
	headline(w, p)
	for i, v := range p.Previews {
		if v.Err != nil {
			continue // shown at the end, with the other failures
		}
		targetHeadline(w, v)
		writeTarget(w, doc.Targets[i], p.TagKey, f, now)
		w.Indent(0)
		writeLists(w, v)
	}
	return w.Err()
}

// writeTarget shows one account and region.
func writeTarget(w *page.Page, d document.StatusTarget, tagKey string, f placeFlags, now time.Time) {
	w.Line()
	w.Indent(2)
	var rows [][]string
	for _, pool := range d.Pools {
		for _, g := range pool.Groups {
			rows = append(rows, statusRow(w, pool, g, now))
		}
		if pool.NoRoomFor > 0 {
			rows = append(rows, []string{poolOf(pool), "no room", "", "", "", "", "", w.Bad(fmt.Sprint(pool.NoRoomFor)), "", "", ""})
		}
	}
	if len(rows) == 0 {
		w.Line("no group is tagged ", tagKey)
	} else {
		w.Table([]string{"pool", "group", "name", "ports", "rules", "free v4", "free v6", "missing", "left over", "foreign", "applied"}, rows)
	}
	// alarm begins with what is wrong, loudly.
	alarm := func(name, format string, args ...any) {
		w.Line()
		w.Say("%s: %s", w.Bad(w.Strong(name)), fmt.Sprintf(format, args...))
	}
	for _, pool := range d.Pools {
		if pool.NoRoomFor > 0 {
			alarm("TOO SMALL", "%s has no room for %s: part of CloudFront is shut out", pool.Name, words.Count(pool.NoRoomFor, "rule"))
		}
	}
	for _, partial := range d.PartialPools {
		alarm("PARTLY ATTACHED", "%s", partial.Text)
	}
	for _, x := range d.Exposures {
		writeExposure(w, x, alarm, d, f)
	}
	for _, tag := range d.StrayTags {
		alarm("STRAY TAG", "%s", tag.Text)
	}
	for _, note := range d.Notes {
		w.Line()
		w.Say("%s %s", w.Warn("!"), note)
	}
}

// poolOf names the pool of a group; one of its own has no name.
func poolOf(pool document.StatusPool) string {
	if len(pool.Groups) == 1 && pool.Name == pool.Groups[0].GroupID {
		return ""
	}
	return pool.Name
}

func statusRow(w *page.Page, pool document.StatusPool, g document.StatusGroup, now time.Time) []string {
	return []string{
		poolOf(pool), g.GroupID, g.Name, ports(w, g.Ports, g.Error), fmt.Sprint(g.Rules),
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
	return words.CountAs(int(d/day), "day", "days")
}

// writeExposure says loudly what makes all the effort pointless. A command to revoke the rule is shown only where
// nobody who is wanted is shut out by it.
func writeExposure(w *page.Page, x document.StatusExposure, alarm func(name, format string, args ...any), d document.StatusTarget, f placeFlags) {
	alarm("OPEN TO THE WORLD", "%s lets %s in on port %s%s", x.GroupID, x.Source, strings.Join(x.Ports, " "), quoted(x.Description))
	const why = "Anyone who finds the origin can bypass CloudFront and its WAF."
	beside := ""
	if !x.Managed {
		beside = fmt.Sprintf(" The group is not tagged, but it is attached to %s along with managed groups.", words.Few(x.Interfaces))
	}
	switch {
	case x.Owned:
		w.Say("%s cfsg apply revokes the rule.", why)
	case !x.Revocable:
		w.Say("%s%s The rule is not this tool's. %s", why, beside, x.Advice)
	default:
		account := ""
		if d.Account != "" {
			account = ", with credentials of account " + d.Account
		}
		w.Say("%s%s The rule is not this tool's, and CloudFront gets in without it; revoke it%s:", why, beside, account)
		w.Indent(4)
		w.Command(revokeCommand(x, d.Region, f)...)
		w.Indent(2)
	}
}

func quoted(description string) string {
	if description == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", description)
}

// revokeCommand is what to type to revoke the rule where it was found, as words for a shell.
func revokeCommand(x document.StatusExposure, region string, f placeFlags) []string {
	ranges := "IpRanges=[{CidrIp=" + x.Source + "}]"
	if prefix, err := netip.ParsePrefix(x.Source); err == nil && prefix.Addr().Is6() {
		ranges = "Ipv6Ranges=[{CidrIpv6=" + x.Source + "}]"
	}
	ports := ""
	if x.FromPort >= 0 {
		ports = fmt.Sprintf("FromPort=%d,ToPort=%d,", x.FromPort, x.ToPort)
	}
	words := []string{"aws ec2 revoke-security-group-ingress"}
	if f.Profile != "" {
		words = append(words, "--profile "+shellQuoted(f.Profile))
	}
	if f.EndpointURL != "" {
		words = append(words, "--endpoint-url "+shellQuoted(f.EndpointURL))
	}
	return append(words, "--region "+region, "--group-id "+x.GroupID,
		fmt.Sprintf("--ip-permissions 'IpProtocol=%s,%s%s'", x.Protocol, ports, ranges))
}
