package door

import (
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/secgroup"
)

// A Mark is a verdict in one of three signs.
type Mark string

// The marks, from best to worst.
const (
	// OK (✓): all that is wanted gets in, nobody else does, and everything was seen.
	OK Mark = "ok"
	// Attention (!): it works, or something could not be seen. A person is needed.
	Attention Mark = "attention"
	// Failed (✗): part of CloudFront is shut out, or the run failed.
	Failed Mark = "failed"
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

	beyond bool // the cause is beyond the security groups: on the way to them, or at targets behind them
}

// Marked returns the mark.
func (j Judgement) Marked() Mark { return j.Mark }

// Beyond reports whether the cause is beyond the security groups: on the way to them, or at targets behind them.
func (j Judgement) Beyond() bool { return j.beyond }

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

// conclude sums up a port: whether the services get in. The worst family gives the cause, and each other one that the
// groups shut out adds its way out.
func (j *judge) conclude(r PortReport) Judgement {
	worst := j.good()
	for _, f := range r.Families {
		way := j.wayOut(f, r.Families)
		switch judged := f.judgement(j.services(), way); {
		case judged.Mark.worseThan(worst.Mark):
			worst = judged
		case judged.Mark == Failed && !judged.beyond && way != "" && !strings.Contains(worst.Cause, way):
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
	ours := func(id string) bool { return j.tagged(j.Lists[id]) }
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

// ShutOut reports whether part of what is wanted does not get in, or the groups alone do not tell.
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
func (r *Report) families() []FamilyReport {
	var all []FamilyReport
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

// SetupPorts returns the ports that an origin has to be set up on: those that were judged, and those that are open to
// the world.
func (r *Report) SetupPorts() []secgroup.PortRange {
	ports := worldPorts(r.OpenToWorld)
	for _, s := range r.Subjects {
		ports = append(ports, s.JudgedPorts()...)
	}
	return mergePorts(ports)
}
