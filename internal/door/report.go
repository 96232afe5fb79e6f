package door

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/secgroup"
)

// A Mark is a verdict in one of three signs.
type Mark string

// The marks, from best to worst.
const (
	OK        Mark = "ok"        // ✓: all that is wanted gets in, nobody else does, and everything was seen
	Attention Mark = "attention" // !: it works, or something could not be seen; a person is needed
	Failed    Mark = "failed"    // ✗: part of CloudFront is shut out, or the run failed
)

// worseThan reports whether a mark is worse than another.
func (m Mark) worseThan(o Mark) bool {
	rank := []Mark{OK, Attention, Failed}
	return slices.Index(rank, m) > slices.Index(rank, o)
}

// A Judgement is a mark, and why in one clause.
type Judgement struct {
	Mark  Mark   `json:"mark"`
	Cause string `json:"cause"`
	// Beyond says that the cause is beyond the security groups: on the way to them, or at targets behind them.
	Beyond bool `json:"-"`
}

// Marked returns the mark.
func (j Judgement) Marked() Mark { return j.Mark }

// Worst returns the one with the worst mark, the first of several that are equally bad.
func Worst[J interface{ Marked() Mark }](first J, others ...J) J {
	worst := first
	for _, j := range others {
		if j.Marked().worseThan(worst.Marked()) {
			worst = j
		}
	}
	return worst
}

func attention(format string, args ...any) Judgement {
	return Judgement{Mark: Attention, Cause: fmt.Sprintf(format, args...)}
}

// A Verdict says whether CloudFront gets in.
type Verdict string

// The verdicts, from best to worst.
const (
	Open    Verdict = "open"    // all wanted ranges are let in
	Unknown Verdict = "unknown" // cannot tell
	Blocked Verdict = "blocked" // some wanted range is not let in
)

func worse(a, b Verdict) Verdict {
	order := []Verdict{Open, Unknown, Blocked}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// A Report is the result of a check. Its verdict, like that of each part, is the worst of those below it.
type Report struct {
	SyncToken   string    `json:"syncToken"`
	PublishedAt time.Time `json:"publishedAt"`
	Judgement
	Verdict Verdict `json:"verdict"`
	// OpenToWorld are the rules that open ports which count to the world.
	OpenToWorld []WorldRule        `json:"openToWorld"`
	Notes       []string           `json:"notes"` // in prose
	Subjects    []SubjectReport    `json:"subjects"`
	PrefixLists []PrefixListReport `json:"prefixLists"`
}

// A SubjectReport is the result for an interface, or for groups named together.
type SubjectReport struct {
	Interface *Interface `json:"interface"` // null for named groups
	Groups    []GroupID  `json:"groups"`
	Judgement
	Verdict Verdict      `json:"verdict"`
	Notes   []string     `json:"notes"` // in prose
	Ports   []PortReport `json:"ports"`
	Tagged  bool         `json:"-"` // a group is kept in sync by its tag

	warnings []Judgement // what else takes the check mark away
}

// A GroupID names a security group.
type GroupID struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (g GroupID) String() string { return strings.TrimSpace(g.ID + " " + g.Name) }

// A PortReport is the result for a port, or for a range of ports that the rules treat alike.
type PortReport struct {
	Port string `json:"port"` // such as 443 or 8000-8080
	Judgement
	Verdict    Verdict        `json:"verdict"`
	Families   []FamilyReport `json:"families"`
	References []Reference    `json:"references"`
}

// A FamilyReport is the result for one address family on a port.
type FamilyReport struct {
	Family  string  `json:"family"` // ipv4 or ipv6
	Unit    string  `json:"unit"`   // of sizes: addresses, or /64 networks
	Verdict Verdict `json:"verdict"`
	Wanted  Amount  `json:"wanted"`
	// Blocked is what no rule lets in, or none that could be read. OriginFacingBlocked is the part of it from which
	// CloudFront connects to origins; null if that is unknown.
	Blocked             Ranges  `json:"blocked"`
	OriginFacingBlocked *Ranges `json:"originFacingBlocked"`
	// Through says what lets the wanted ranges in, as far as they are.
	Through []Through `json:"through"`
	// TakenIn are the ranges let in beyond the wanted ones, out of those that may be taken in; null if none may.
	TakenIn *Ranges `json:"takenIn"`
	// World says that one of the others opens the port to the world, and that no tag says this is meant.
	World bool `json:"world"`
	// OnlyByWorld are the wanted ranges that only rules open to the world let in: closing those shuts them out. It is
	// null if no rule of a group opens the port to the world.
	OnlyByWorld *Ranges `json:"onlyByWorld"`
	// Others are the rules that let in more than the wanted ranges, and those that may be let in as well.
	Others []Opening `json:"others"`
	// PrefixLists are those of the family that rules which open the port refer to, and Unread those of them whose
	// entries could not be read.
	PrefixLists []string `json:"prefixLists"`
	Unread      []string `json:"unread"`
	// Findings are the places before and behind the interface where something that is wanted is lost, or may be.
	Findings []Finding `json:"findings"`

	shut bool // a finding shuts out servers that connect to origins, or others if these are unknown
}

// Through is a kind of rule that lets wanted ranges in.
type Through string

// The kinds of rules.
const (
	ByOwn     Through = "own"     // rules that this tool keeps, or a prefix list that it does
	ByAWSList Through = "awsList" // references to a prefix list of AWS
	ByList    Through = "list"    // references to other prefix lists
	ByOthers  Through = "others"  // rules of other people that are not open to the world
	ByWorld   Through = "world"   // rules that are open to the world
)

// BeyondOriginFacing reports whether only servers of CloudFront that do not connect to origins are blocked.
func (f FamilyReport) BeyondOriginFacing() bool {
	return f.Verdict == Blocked && !f.shut && f.OriginFacingBlocked != nil && len(f.OriginFacingBlocked.Prefixes) == 0
}

// name is that of the family for people.
func (f FamilyReport) name() string { return strings.Replace(f.Family, "ip", "IP", 1) }

// An Amount is how much address space some ranges are.
type Amount struct {
	Ranges int    `json:"ranges"`
	Size   uint64 `json:"size"` // in the family's unit
}

// Ranges are merged ranges, the widest first.
type Ranges struct {
	Size     uint64         `json:"size"` // in the family's unit
	Prefixes []netip.Prefix `json:"ranges"`
}

// A RuleOf names rules of a group that differ in their sources only.
type RuleOf struct {
	Group       GroupID `json:"group"` // empty where no group is attached
	Protocol    string  `json:"protocol"`
	Ports       string  `json:"ports"`
	Description string  `json:"description"`
}

// An Opening is a rule that lets in more than the wanted ranges.
type Opening struct {
	RuleOf
	Sources    []netip.Prefix `json:"sources"`    // IP ranges, or the entries of a prefix list
	PrefixList string         `json:"prefixList"` // pl-…, or empty
	World      bool           `json:"world"`      // it opens the port to the world
	Beyond     Ranges         `json:"beyond"`     // the part of the sources that is not wanted
}

// A Reference is a rule that lets members of a security group in, from no address of the Internet.
type Reference struct {
	RuleOf
	Source string `json:"source"` // ACCOUNT/sg-…
}

// A PrefixListReport describes a prefix list.
type PrefixListReport struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Owner   string `json:"owner"`  // an account or "AWS", or empty if unknown
	Tagged  bool   `json:"tagged"` // it carries the tag
	Pool    string `json:"pool"`   // that of its tags, or empty
	Entries int    `json:"entries"`
	Error   string `json:"error"` // why the entries could not be read
}

// conclude sums up a port. The worst family gives the cause; others that the groups shut out add their way out.
func (j *judge) conclude(r PortReport) Judgement {
	worst := j.good
	for _, f := range r.Families {
		way := j.wayOut(f, r.Families)
		switch judged := f.judgement(j.services, way); {
		case judged.Mark.worseThan(worst.Mark):
			worst = judged
		case judged.Mark == Failed && !judged.Beyond && way != "" && !strings.Contains(worst.Cause, way):
			worst.Cause += "; over " + f.name() + way
		}
	}
	return worst
}

// judgement says whether the services get in over an address family; way is the way out if the groups decide.
func (f FamilyReport) judgement(services, way string) Judgement {
	decides := func(x Finding) bool { return x.Verdict == f.Verdict }
	at := slices.IndexFunc(f.Findings, decides)
	beyond := at >= 0
	if beyond {
		way = ": " + f.Findings[at].Cause
	}
	part := "part of " + services
	if f.Blocked.Size == f.Wanted.Size || slices.ContainsFunc(f.Findings, func(x Finding) bool { return x.Verdict == Blocked && x.Ranges.Size == f.Wanted.Size }) {
		part = services
	}
	switch {
	case f.BeyondOriginFacing():
		return attention("part of %s is not let in, but all of its servers that connect to origins today are", services)
	case f.Verdict == Blocked:
		return Judgement{Failed, fmt.Sprintf("%s is shut out over %s%s", part, f.name(), way), beyond}
	case f.Verdict == Unknown:
		return Judgement{Attention, fmt.Sprintf("cannot tell whether all of %s gets in over %s%s", services, f.name(), way), beyond}
	case beyond:
		return Judgement{Attention, f.Findings[0].Cause, true}
	}
	return Judgement{Mark: OK}
}

// wayOut says what to do where the groups shut out part of a family, or may: what nobody reads off the ranges.
func (j *judge) wayOut(f FamilyReport, port []FamilyReport) string {
	ours := func(id string) bool { return strings.TrimSpace(j.Lists[id].Tags[j.TagKey]) == "ranges" } // not none
	switch at := slices.IndexFunc(f.PrefixLists, ours); {
	case f.Verdict == Unknown && len(f.Unread) > 0:
		return ": " + j.unreadable(f.Unread)
	case f.Verdict != Blocked:
		return ""
	case at >= 0:
		list := j.Lists[f.PrefixLists[at]]
		return fmt.Sprintf(": cfsg apply, with the credentials of account %s, fills prefix list %s", list.Owner, list.ID)
	}
	for _, other := range port {
		if at := slices.IndexFunc(other.PrefixLists, ours); at >= 0 {
			return fmt.Sprintf(": tag a prefix list of this family, run cfsg apply, and refer to it beside %s", other.PrefixLists[at])
		}
	}
	return ""
}

// BeyondOriginFacing reports whether everything that is blocked is servers that do not connect to origins.
func (r *Report) BeyondOriginFacing() bool {
	return r.Verdict == Blocked && !slices.ContainsFunc(r.families(), func(f FamilyReport) bool {
		return f.Verdict == Blocked && !f.BeyondOriginFacing()
	})
}

// ShutOut reports whether part of what is wanted does not get in, or the groups do not say.
func (r *Report) ShutOut() bool {
	return r.Mark == Failed || r.BeyondOriginFacing() ||
		slices.ContainsFunc(r.Subjects, func(s SubjectReport) bool { return len(s.Ports) == 0 }) ||
		slices.ContainsFunc(r.families(), func(f FamilyReport) bool { return f.Verdict == Unknown && len(f.Unread) > 0 })
}

// OnlyWanted reports whether no other address is let in than the wanted ones, and those that may be.
func (r *Report) OnlyWanted() bool {
	return !slices.ContainsFunc(r.families(), func(f FamilyReport) bool { return len(f.Others) > 0 || len(f.Unread) > 0 })
}

// families returns the report on each subject, port and address family.
func (r *Report) families() (all []FamilyReport) {
	for _, s := range r.Subjects {
		for _, p := range s.Ports {
			all = append(all, p.Families...)
		}
	}
	return all
}

// OpenToWorld returns the rules of a report that open ports to the world at a subject of it.
func (s SubjectReport) OpenToWorld(r *Report) []WorldRule {
	return slices.DeleteFunc(slices.Clone(r.OpenToWorld), func(w WorldRule) bool {
		if s.Interface == nil {
			return !slices.Contains(s.Groups, w.Group)
		}
		return !slices.Contains(w.Interfaces, s.Interface.ID)
	})
}

// NeedsWorld reports whether part of what is wanted may get in only by rules that are open to the world, or not at all.
func (s SubjectReport) NeedsWorld() bool {
	return slices.ContainsFunc((&Report{Subjects: []SubjectReport{s}}).families(), func(f FamilyReport) bool {
		return len(f.Blocked.Prefixes) > 0 || f.OnlyByWorld != nil && len(f.OnlyByWorld.Prefixes) > 0
	})
}

// JudgedPorts returns the ports that a subject was judged on.
func (s SubjectReport) JudgedPorts() (ports []secgroup.PortRange) {
	for _, p := range s.Ports {
		judged, _ := secgroup.ParsePorts(p.Port) // as it was written
		ports = append(ports, judged...)
	}
	return ports
}

// SetupPorts returns the ports to set an origin up on: those that were judged, and those open to the world.
func (r *Report) SetupPorts() []secgroup.PortRange {
	ports := worldPorts(r.OpenToWorld)
	for _, s := range r.Subjects {
		ports = append(ports, s.JudgedPorts()...)
	}
	return mergePorts(ports)
}
