package door

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// Failure returns the error of a check whose verdict is not good, or nil. The services are those that were asked for.
func (r *Report) Failure(services []string) error {
	var errs []error
	if r.Verdict == Blocked {
		errs = append(errs, r.blocked(strings.Join(services, ", ")))
	}
	unread := map[string]bool{}
	for _, f := range r.families() {
		for _, id := range f.Unread {
			unread[id] = unread[id] || f.Verdict == Unknown
		}
	}
	for _, l := range r.PrefixLists {
		if unread[l.ID] {
			errs = append(errs, fmt.Errorf("cannot tell what %s lets in: %s", l.ID, l.Error))
		}
	}
	for _, s := range r.Subjects {
		if s.Verdict == Unknown && len(s.Ports) == 0 {
			errs = append(errs, fmt.Errorf("%s: %s", s.Interface.ID, strings.Join(s.Notes, "; ")))
		}
	}
	return errors.Join(errs...)
}

// blocked says where the services are blocked, and what to do.
func (r *Report) blocked(services string) error {
	if r.BeyondOriginFacing() {
		return hint.New(fmt.Sprintf("part of %s is not let in, but all of its servers that connect to origins today are", services), "to check only those, use --service "+iprange.CloudFrontOriginFacing)
	}
	var where []string
	for _, s := range r.Subjects {
		switch {
		case s.Verdict != Blocked || !s.newer.IsZero(): // an older file says nothing of what is wanted now
		case s.Interface != nil:
			where = append(where, s.Interface.ID)
		default:
			for _, g := range s.Groups {
				where = append(where, g.ID)
			}
		}
	}
	if len(where) == 0 {
		return nil
	}
	err := fmt.Errorf("%s is blocked at %s", services, strings.Join(where, ", "))
	for _, way := range r.advice() {
		err = hint.With(err, way)
	}
	return err
}

// advice says what lets in what is blocked: entries in the tagged prefix lists that rules refer to, a list of the other
// family beside one, or rules.
func (r *Report) advice() []string {
	var ways []string
	for _, s := range r.Subjects {
		for _, p := range s.Ports {
			var tagged []PrefixListReport // of all families
			for _, f := range p.Families {
				tagged = append(tagged, r.taggedLists(f)...)
			}
			for _, f := range p.Families {
				if f.Verdict != Blocked {
					continue
				}
				way := "tag the groups and run cfsg apply, or authorize what is missing"
				if own := r.taggedLists(f); len(own) > 0 {
					way = "run cfsg apply with the credentials of " + owners(own)
				} else if len(tagged) > 0 {
					way = fmt.Sprintf("no rule refers to a list of %s ranges: tag one, run cfsg apply, and refer to it beside %s", f.Family, tagged[0].ID)
				}
				if !slices.Contains(ways, way) {
					ways = append(ways, way)
				}
			}
		}
	}
	return ways
}

// taggedLists returns the lists that are kept in sync and that a family's rules refer to.
func (r *Report) taggedLists(f FamilyReport) []PrefixListReport {
	var tagged []PrefixListReport
	for _, l := range r.PrefixLists {
		if l.Tagged && slices.Contains(f.PrefixLists, l.ID) {
			tagged = append(tagged, l)
		}
	}
	return tagged
}

// owners says whose credentials can fill prefix lists.
func owners(lists []PrefixListReport) string {
	var names []string
	for _, l := range lists {
		name := fmt.Sprintf("account %s, which fills prefix list %s", l.Owner, l.ID)
		if l.Pool != "" {
			name += fmt.Sprintf(", and refer to every list of pool %s", l.Pool)
		}
		names = append(names, name)
	}
	return strings.Join(names, "; of ")
}

// BeyondOriginFacing reports whether everything that is blocked is servers that do not connect to origins.
func (r *Report) BeyondOriginFacing() bool {
	return r.Verdict == Blocked && !slices.ContainsFunc(r.families(), func(f FamilyReport) bool {
		return f.Verdict == Blocked && !f.BeyondOriginFacing()
	})
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

// World reports whether a port that counts is open to the world.
func (r *Report) World() bool { return len(r.OpenToWorld) > 0 }

// judge sums up each port, each subject, and all of them: whether the services get in, and whether anyone else does.
func (r *Report) judge(services string) {
	r.Judgement = Judgement{OK, fmt.Sprintf("all of %s gets in, and no port that counts is open to the world", services)}
	for i := range r.Subjects {
		s := &r.Subjects[i]
		s.Judgement = r.Judgement
		if len(s.Ports) == 0 {
			s.Judgement = Judgement{Attention, fmt.Sprintf("cannot tell whether all of %s gets in: %s", services, strings.Join(s.Notes, "; "))}
		}
		for k := range s.Ports {
			p := &s.Ports[k]
			p.Judgement = r.Judgement
			for _, f := range p.Families {
				p.Judgement = Worst(p.Judgement, f.judgement(services))
			}
			s.Judgement = Worst(s.Judgement, p.Judgement)
		}
		if !s.newer.IsZero() { // its ranges are out of date
			s.Judgement = Judgement{Attention, "the file is older than these rules, which are from " + s.newer.UTC().Format(time.DateOnly)}
		}
		if s.Interface != nil && !s.Interface.Public() {
			s.Judgement = Worst(s.Judgement, Judgement{Attention, "no public address: CloudFront connects to it only as a VPC origin"})
		}
		if ports := worldPorts(s.OpenToWorld(r)); len(ports) > 0 {
			s.Judgement = Worst(s.Judgement, Judgement{Attention, onPorts(ports, "is open", "are open") + " to the world: anyone who finds the origin can bypass CloudFront and its WAF"})
		}
		s.Judgement = Worst(s.Judgement, s.warnings...)
	}
	for _, s := range r.Subjects {
		r.Judgement = Worst(r.Judgement, s.Judgement)
	}
}

// judgement says whether the services get in over an address family.
func (f FamilyReport) judgement(services string) Judgement {
	cause := func(v Verdict) string {
		if i := slices.IndexFunc(f.Findings, func(x Finding) bool { return x.Verdict == v }); i >= 0 {
			return ": " + f.Findings[i].Cause
		}
		return ""
	}
	part := "part of " + services
	if f.Blocked.Size == f.Wanted.Size || slices.ContainsFunc(f.Findings, func(x Finding) bool { return x.Verdict == Blocked && x.Ranges.Size == f.Wanted.Size }) {
		part = services
	}
	over := map[string]string{"ipv4": "IPv4", "ipv6": "IPv6"}[f.Family]
	switch {
	case f.BeyondOriginFacing():
		return Judgement{Attention, fmt.Sprintf("part of %s is not let in, but all of its servers that connect to origins today are", services)}
	case f.Verdict == Blocked:
		return Judgement{Failed, fmt.Sprintf("%s is shut out over %s%s", part, over, cause(Blocked))}
	case f.Verdict == Unknown:
		return Judgement{Attention, fmt.Sprintf("cannot tell whether all of %s gets in over %s%s", services, over, cause(Unknown))}
	case len(f.Findings) > 0:
		return Judgement{Attention, f.Findings[0].Cause}
	}
	return Judgement{Mark: OK}
}

// Beyond reports whether the subject's judgement comes from beyond its security groups: from the way to it, or from
// targets behind it.
func (s SubjectReport) Beyond() bool {
	return slices.ContainsFunc(s.Ports, func(p PortReport) bool {
		return slices.ContainsFunc(p.Families, func(f FamilyReport) bool {
			return slices.ContainsFunc(f.Findings, func(x Finding) bool { return strings.HasSuffix(s.Cause, x.Cause) })
		})
	})
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

// SetupPorts returns the ports that an origin has to be set up on: those that were judged, and those that are open to
// the world.
func (r *Report) SetupPorts() []secgroup.PortRange {
	ports := worldPorts(r.OpenToWorld)
	for _, s := range r.Subjects {
		for _, p := range s.Ports {
			judged, _ := secgroup.ParsePorts(p.Port) // as it was written
			ports = append(ports, judged...)
		}
	}
	return mergePorts(ports)
}

// worldPorts returns the ports that count and are open to the world.
func worldPorts(rules []WorldRule) []secgroup.PortRange {
	var ports []secgroup.PortRange
	for _, w := range rules {
		ports = append(ports, w.opens...)
	}
	return mergePorts(ports)
}

// OnlyWanted reports whether no other address is let in than the wanted ones, and those that may be.
func (r *Report) OnlyWanted() bool {
	return !slices.ContainsFunc(r.families(), func(f FamilyReport) bool { return len(f.Others) > 0 || len(f.Unread) > 0 })
}
