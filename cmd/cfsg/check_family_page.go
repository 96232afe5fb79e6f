package main

import (
	"fmt"
	"strings"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
)

// family shows the verdict on an address family.
func (w checkPage) family(f door.FamilyReport) {
	name := map[string]string{"ipv4": "IPv4", "ipv6": "IPv6"}[f.Family]
	blocked := len(f.Blocked.Prefixes)
	switch {
	case f.Wanted.Ranges == 0:
		w.verdict(w.Quiet("– "+name), "nothing is published")
	case blocked == 0 && f.OnlyByWorld != nil && len(f.OnlyByWorld.Prefixes) > 0:
		w.verdict(w.Warn("! "+name), fmt.Sprintf("all of %s, but %s only by what is open to the world: without that CloudFront is shut out",
			w.services, words.Count(len(f.OnlyByWorld.Prefixes), "range")))
	case blocked == 0 && len(f.Findings) > 0:
		w.verdict(w.Quiet("  "+name), fmt.Sprintf("the security groups let all of %s in", w.services))
	case blocked == 0:
		w.verdict(w.Good("✓ "+name), fmt.Sprintf("all of %s: %s", w.services, words.Count(f.Wanted.Ranges, "range")))
	case len(f.Unread) > 0:
		w.verdict(w.Warn("? "+name), fmt.Sprintf("not known: the entries of %s could not be read, and no other rule lets in %s of %s",
			strings.Join(f.Unread, ", "), words.Count(blocked, "range"), w.services))
		w.ranges(f.Blocked)
	case f.BeyondOriginFacing():
		w.verdict(w.Warn("! "+name), fmt.Sprintf("all servers that connect to origins today are let in; of the others of %s %s (-o json lists them)",
			w.services, blockedOf(f)))
	case f.Blocked.Size == f.Wanted.Size:
		w.verdict(w.Bad("✗ "+name), fmt.Sprintf("nothing of %s is let in: %s", w.services, words.Count(f.Wanted.Ranges, "range")))
	default:
		text := blockedOf(f)
		if part := f.OriginFacingBlocked; part != nil {
			text += fmt.Sprintf(", %s of them of servers that connect to origins", thousands(part.Size))
		}
		w.verdict(w.Bad("✗ "+name), text)
		w.ranges(f.Blocked)
	}
	for _, x := range f.Findings {
		mark := map[door.Verdict]string{door.Blocked: w.Bad("✗ " + name), door.Unknown: w.Warn("? " + name), door.Open: w.Warn("! " + name)}[x.Verdict]
		w.verdict(mark, fmt.Sprintf("%s (%s of %s)", x.Cause, thousands(x.Ranges.Size), amount(f.Wanted.Size, f.Unit)))
	}
	if f.TakenIn != nil && f.TakenIn.Size > 0 && !f.World {
		w.verdict(strings.Repeat(" ", verdictWidth-2), fmt.Sprintf("also let in: %s of %s", amount(f.TakenIn.Size, f.Unit), w.within))
	}
}

// verdictWidth is the room for a mark and the name of a family.
const verdictWidth = 8

func (w checkPage) verdict(mark, text string) {
	for i, line := range page.Wrap(strings.Fields(text), " ", w.Width()-4-verdictWidth) {
		if i > 0 {
			mark = "      "
		}
		w.Line(mark, "  ", line)
	}
}

func (w checkPage) ranges(r door.Ranges) {
	var words []string
	for _, p := range r.Prefixes {
		words = append(words, p.String())
	}
	w.Fact("", verdictWidth, "  ", words...)
}

// blockedOf says how much is blocked of how much.
func blockedOf(f door.FamilyReport) string {
	return fmt.Sprintf("%s, %s of %s", words.CountAs(len(f.Blocked.Prefixes), "range is blocked", "ranges are blocked"),
		thousands(f.Blocked.Size), amount(f.Wanted.Size, f.Unit))
}

// amount says how many addresses or networks there are.
func amount(n uint64, unit string) string {
	if n == 1 {
		unit = map[string]string{"addresses": "address", "/64 networks": "/64 network"}[unit]
	}
	return thousands(n) + " " + unit
}
