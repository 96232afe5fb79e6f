package door

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// Judge compares the ranges that the groups of each subject let in with the ranges asked about.
func Judge(scene *Scene, q Question) *Report {
	j := judge{Scene: scene, Question: q, services: strings.Join(q.Services, ", ")}
	j.good = Judgement{Mark: OK, Cause: fmt.Sprintf("all of %s gets in, and no port that counts is open to the world", j.services)}
	for _, f := range q.Families {
		j.families = append(j.families, newFamily(f, q))
	}
	report := &Report{
		SyncToken: q.Wanted.SyncToken, PublishedAt: q.Wanted.Published, Judgement: j.good, Verdict: Open,
		Notes: []string{}, Subjects: []SubjectReport{}, PrefixLists: []PrefixListReport{}, OpenToWorld: []WorldRule{},
	}
	if scene.ListsErr != nil {
		report.Notes = append(report.Notes, fmt.Sprintf("prefix lists are shown without their names: %v", scene.ListsErr))
	}
	var judged []secgroup.PortRange
	for _, s := range scene.Subjects {
		r, ports := j.subject(s)
		report.Verdict = worse(report.Verdict, r.Verdict)
		report.Subjects = append(report.Subjects, r)
		judged = append(judged, ports...)
	}
	for _, w := range World(scene, q.TagKey, judged) {
		if len(w.Opens) > 0 {
			report.OpenToWorld = append(report.OpenToWorld, w)
		} else {
			report.Notes = append(report.Notes, fmt.Sprintf("also open to the world, on a port that nobody asked about: %s", w))
		}
	}
	for i := range report.Subjects {
		s := &report.Subjects[i]
		if ports := worldPorts(s.OpenToWorld(report)); len(ports) > 0 {
			s.Judgement = Worst(s.Judgement, attention("%s open to the world: anyone who finds the origin can bypass CloudFront and its WAF", words.PortsAre(secgroup.PortNames(ports))))
		}
		s.Judgement = Worst(s.Judgement, s.warnings...)
		report.Judgement = Worst(report.Judgement, s.Judgement)
	}
	for _, id := range slices.Sorted(maps.Keys(scene.Lists)) {
		l := scene.Lists[id]
		r := PrefixListReport{ID: l.ID, Name: l.Name, Owner: l.Owner, Tagged: j.tagged(l), Entries: len(l.Ingress)}
		if r.Tagged {
			r.Pool = l.Tags[q.TagKey+"-pool"]
		}
		if l.Err != nil {
			r.Error = l.Err.Error()
		}
		report.PrefixLists = append(report.PrefixLists, r)
	}
	return report
}

// A judge answers a question about a scene.
type judge struct {
	*Scene
	Question
	services string    // those that are wanted
	good     Judgement // if nothing is wrong
	families []family
}

// tagged reports whether a tag says that this tool keeps a group or a prefix list.
func (j *judge) tagged(h secgroup.Holder) bool {
	_, tagged := h.Tags[j.TagKey]
	return tagged
}

// A family holds the wanted ranges of one address family.
type family struct {
	secgroup.Family
	wanted       *ipspace.Set
	originFacing *ipspace.Set
	// within is what may be let in as well, and allowed both.
	within, allowed *ipspace.Set
}

func newFamily(f secgroup.Family, q Question) family {
	ranges := func(ipv4, ipv6 []netip.Prefix) []netip.Prefix {
		if f == secgroup.IPv4 {
			return ipv4
		}
		return ipv6
	}
	wanted := family{Family: f, wanted: ipspace.Of(ranges(q.Wanted.IPv4, q.Wanted.IPv6))}
	if facing := ranges(ipspace.Split(q.Wanted.OriginFacing)); len(facing) > 0 {
		wanted.originFacing = ipspace.Of(facing)
	}
	wanted.allowed = wanted.wanted
	if q.Within != nil {
		within := ipspace.Of(ranges(q.Within.IPv4, q.Within.IPv6))
		wanted.within = ipspace.Minus(within, wanted.wanted)
		wanted.allowed = ipspace.Union(wanted.wanted, within)
	}
	return wanted
}

// A rule is a rule, its group, and what it lets in.
type rule struct {
	secgroup.Rule
	group   GroupID
	tags    map[string]string // of the group
	list    secgroup.Holder   // that it refers to
	sources []netip.Prefix    // its own IP range, or the entries of the list
}

// of names the rule in a report.
func (r rule) of() RuleOf { return RuleOf{r.group, r.Protocol, r.Ports(), r.Description} }

// rulesAt returns the rules that decide who gets in at a subject.
func (s *Scene) rulesAt(at Subject) (rules []rule) {
	if at.Interface != nil && len(at.Groups) == 0 && at.Interface.NeedsNoGroup { // everyone gets in
		for _, everyone := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			p := netip.PrefixFrom(everyone, 0)
			id := secgroup.RuleID{Protocol: "-1", From: -1, To: -1, Source: secgroup.Source{Prefix: p}}
			rules = append(rules, rule{Rule: secgroup.Rule{RuleID: id}, sources: []netip.Prefix{p}})
		}
	}
	for _, g := range at.Groups {
		for _, in := range g.Ingress {
			r := rule{in, GroupID{g.ID, g.Name}, g.Tags, s.Lists[in.Source.Reference], []netip.Prefix{in.Source.Prefix}}
			if in.Source.Reference != "" {
				r.sources = make([]netip.Prefix, len(r.list.Ingress))
				for i, entry := range r.list.Ingress {
					r.sources[i] = entry.Source.Prefix
				}
			}
			rules = append(rules, r)
		}
	}
	return rules
}

// subject judges a subject, and returns the ports that it was judged on.
func (j *judge) subject(s Subject) (r SubjectReport, ports []secgroup.PortRange) {
	r = SubjectReport{Interface: s.Interface, Groups: []GroupID{}, Judgement: j.good, Verdict: Open, Notes: []string{}, Ports: []PortReport{}}
	for _, g := range s.Groups {
		r.Groups = append(r.Groups, GroupID{g.ID, g.Name})
		r.Tagged = r.Tagged || j.tagged(g)
	}
	if families := j.reachable(s, &r); len(families) > 0 {
		var notes []string
		ports, notes = j.portsAt(s)
		r.Notes = append(r.Notes, notes...)
		for _, p := range ports {
			r.Ports = append(r.Ports, j.ports(p, s, families)...)
		}
		for _, p := range r.Ports {
			r.Verdict, r.Judgement = worse(r.Verdict, p.Verdict), Worst(r.Judgement, p.Judgement)
		}
		j.warnAt(s, ports, &r)
	} else {
		r.Verdict, r.Judgement = Unknown, attention("cannot tell whether all of %s gets in: %s", j.services, strings.Join(r.Notes, "; "))
	}
	if newer := j.newer(s); !newer.IsZero() { // the ranges of the file are out of date
		r.Judgement = attention("the file is older than these rules, which are from %s", newer.UTC().Format(time.DateOnly))
	}
	return r, ports
}

// portsAt returns the ports to judge: those asked for, else those of tags and tagged lists, of listeners, or 443.
func (j *judge) portsAt(at Subject) (ports []secgroup.PortRange, notes []string) {
	for _, g := range at.Groups {
		for _, r := range g.Ingress {
			if j.tagged(j.Lists[r.Source.Reference]) && r.Protocol == "tcp" && r.From >= 0 {
				ports = append(ports, secgroup.PortRange{From: uint16(r.From), To: uint16(r.To)})
			}
		}
		read := func(key, unread string) []secgroup.PortRange {
			value, tagged := g.Tags[key]
			list, err := secgroup.ParsePorts(value)
			if tagged && err != nil {
				notes = append(notes, fmt.Sprintf("tag %s=%q of %s %s: %v", key, value, g.ID, unread, err))
			}
			return list
		}
		ports = append(ports, read(j.TagKey, "names no ports")...)
		read(j.TagKey+secgroup.PublicSuffix, "silences no port")
	}
	listening := j.listening(at.Interface)
	switch {
	case len(j.Ports) > 0:
		return j.Ports, notes
	case len(ports) > 0:
		return secgroup.SortPorts(ports), notes
	case len(listening) > 0:
		return listening, notes
	}
	return []secgroup.PortRange{{From: 443, To: 443}}, append(notes, "no tag or listener names a port: 443 is a guess, and --port names others")
}

// newer returns when the newest file was published that a rule was made from, if that is newer than the one asked about.
func (j *judge) newer(s Subject) (newest time.Time) {
	for _, g := range s.Groups {
		for _, r := range g.Ingress {
			stamp, ok := secgroup.ParseStamp(j.TagKey, r.Description)
			if t := stamp.Published; ok && t.After(j.Wanted.Published) && t.After(newest) && (j.Now.IsZero() || !t.After(j.Now)) {
				newest = t
			}
		}
	}
	return newest
}

// reachable returns the families over which a subject can be judged, and notes why others cannot.
func (j *judge) reachable(s Subject, r *SubjectReport) (found []family) {
	i := s.Interface
	if i == nil {
		return j.families
	}
	note := func(format string, args ...any) { r.Notes = append(r.Notes, fmt.Sprintf(format, args...)) }
	for _, f := range j.families {
		switch has := f.Family == secgroup.IPv4 && len(i.PrivateIPv4) > 0 || f.Family == secgroup.IPv6 && len(i.IPv6) > 0; {
		case !has:
			note("it has no %s address, so nobody reaches it over %[1]s", f)
		case i.Public() && !i.PublicOver(f.Family):
			note("it has no public %s address, so CloudFront does not reach it over %[1]s", f)
		default:
			found = append(found, f)
		}
	}
	switch {
	case !i.Public():
		note("it has no public address: CloudFront does not connect to it, unless it is a VPC origin; check the load balancer in front of it")
		r.warn("no public address: CloudFront connects to it only as a VPC origin")
	case !i.PublicOver(secgroup.IPv4) && slices.Contains(j.Families, secgroup.IPv4):
		// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-enable-ipv6.html
		r.warn("no public IPv4 address: CloudFront connects to it only if the origin's IP address type is ipv6 or dualstack")
	}
	switch {
	case len(s.Groups) > 0:
	case i.NeedsNoGroup:
		note("no security group is attached to this Network Load Balancer, so everyone reaches it; groups can only be attached to one that was created with some")
	default:
		note("no security group is attached, so there is nothing to judge")
		return nil
	}
	if b := j.BalancerOf(i); len(found) > 0 && b != nil && b.Gone {
		note("no load balancer %s here: no listeners or targets were looked at", b.Name)
	}
	return found
}

// warn adds something that takes the check mark away.
func (r *SubjectReport) warn(format string, args ...any) {
	r.warnings = append(r.warnings, attention(format, args...))
}

// warnAt warns of what cannot be seen at a subject, and of ports on which nothing listens.
func (j *judge) warnAt(s Subject, ports []secgroup.PortRange, r *SubjectReport) {
	if _, open, lists := j.worldAt(s, j.TagKey, ports); len(lists) > 0 {
		r.warn("cannot tell whether %s open to the world: %s", words.PortsAre(secgroup.PortNames(open)), j.unreadable(lists))
	}
	listening := j.listening(s.Interface)
	idle := slices.DeleteFunc(slices.Clone(ports), func(p secgroup.PortRange) bool { return overlap(listening, p) })
	i := s.Interface
	isClassic := i != nil && i.RequesterManaged && strings.HasPrefix(i.Description, "ELB ") && i.LoadBalancer() == ""
	switch b := j.BalancerOf(i); {
	case isClassic && j.Network != nil:
		r.warn("cannot see what is behind a Classic Load Balancer")
	case b == nil || b.Err != nil:
	case b.Gone:
		r.warn("cannot see what is behind load balancer %s: it is being deleted, or belongs to another account", b.Name)
	case len(idle) > 0:
		r.warn("load balancer %s has no listener on %s", b.Name, words.Ports(secgroup.PortNames(idle)))
	}
}

// ports judges the ports of a range, and reports those together that come out alike.
func (j *judge) ports(asked secgroup.PortRange, s Subject, families []family) (reports []PortReport) {
	rules, edges := j.rulesAt(s), j.listening(s.Interface)
	for _, r := range rules {
		edges = append(edges, tcpPorts(r.RuleID)...)
	}
	if s.Interface != nil && j.Network != nil {
		edges = append(edges, aclPorts(j.Network.Subnets[s.Interface.Subnet].ACLRules, false)...)
	}
	var since uint16 // the first port of the last report
	for _, p := range cut(asked, edges) {
		r := j.port(p, s, rules, families)
		if n := len(reports); n > 0 {
			if r.Port = reports[n-1].Port; reflect.DeepEqual(r, reports[n-1]) {
				reports[n-1].Port = secgroup.PortRange{From: since, To: p.To}.String()
				continue
			}
		}
		r.Port, since = p.String(), p.From
		reports = append(reports, r)
	}
	return reports
}

// port judges ports that no rule opens in part: the way to the groups, these, and the way on from a load balancer.
func (j *judge) port(p secgroup.PortRange, s Subject, rules []rule, families []family) PortReport {
	r := PortReport{Judgement: j.good, Verdict: Open, Families: []FamilyReport{}, References: []Reference{}}
	var open []rule
	for _, in := range rules {
		if !in.OpensTCP(p) {
			continue
		}
		open = append(open, in)
		if strings.Contains(in.Source.Reference, "/") {
			r.References = append(r.References, Reference{in.of(), in.Source.Reference})
		}
	}
	for _, f := range families {
		fr := j.family(f, open, p)
		if s.Interface != nil && j.Network != nil {
			fr.Findings = append(fr.Findings, j.Network.path(s.Interface, f, p)...)
		}
		if b := j.BalancerOf(s.Interface); b != nil {
			fr.Findings = append(fr.Findings, b.behind(j, f, s.Groups, p)...)
		}
		for _, x := range fr.Findings {
			fr.Verdict = worse(fr.Verdict, x.Verdict)
			fr.shut = fr.shut || x.Verdict == Blocked && (f.originFacing == nil || !isEmpty(ipspace.Common(x.set, f.originFacing)))
		}
		r.Verdict = worse(r.Verdict, fr.Verdict)
		r.Families = append(r.Families, fr)
	}
	r.Judgement = j.conclude(r)
	return r
}

// family judges the rules that open a port.
func (j *judge) family(f family, rules []rule, ports secgroup.PortRange) FamilyReport {
	wanted := rangesOf(f.wanted)
	r := FamilyReport{
		Family: strings.ToLower(f.String()), Unit: "addresses", Verdict: Open, Wanted: Amount{len(wanted.Prefixes), wanted.Size},
		Others: j.others(f, rules, ports), PrefixLists: []string{}, Unread: []string{}, Through: []Through{}, Findings: []Finding{},
	}
	if f.Family == secgroup.IPv6 {
		r.Unit = "/64 networks"
	}
	var sources []netip.Prefix
	for _, in := range rules {
		if l := in.list; l.ID != "" && (l.Family == f.Family || l.Family == unknownFamily) && !slices.Contains(r.PrefixLists, l.ID) {
			r.PrefixLists = append(r.PrefixLists, l.ID)
			if l.Err != nil {
				r.Unread = append(r.Unread, l.ID)
			}
		}
		if by := j.through(in); !slices.Contains(r.Through, by) && slices.ContainsFunc(in.sources, f.wanted.OverlapsPrefix) {
			r.Through = append(r.Through, by)
		}
		sources = append(sources, in.sources...)
	}
	let := ipspace.Of(sources)
	blocked := ipspace.Minus(f.wanted, let)
	r.Blocked = rangesOf(blocked)
	switch {
	case isEmpty(blocked):
	case len(r.Unread) > 0:
		r.Verdict = Unknown
	default:
		r.Verdict = Blocked
	}
	if f.originFacing != nil {
		r.OriginFacingBlocked = new(rangesOf(ipspace.Common(blocked, f.originFacing)))
	}
	if f.within != nil {
		r.TakenIn = new(rangesOf(ipspace.Common(let, f.within)))
	}
	for _, o := range r.Others {
		r.World = r.World || o.World
		if o.World && o.Group.ID != "" && r.OnlyByWorld == nil { // there is a rule to close
			narrow := ipspace.Of(slices.DeleteFunc(sources, ipspace.IsWorld))
			r.OnlyByWorld = new(rangesOf(ipspace.Minus(ipspace.Common(f.wanted, let), narrow)))
		}
	}
	return r
}

// through says what kind of rule a rule is.
func (j *judge) through(r rule) Through {
	switch {
	case slices.ContainsFunc(r.sources, ipspace.IsWorld):
		return ByWorld
	case j.tagged(r.list), strings.HasPrefix(r.Description, j.TagKey+":"):
		return ByOwn
	case r.list.Owner == "AWS":
		return ByAWSList
	case r.list.ID != "":
		return ByList
	}
	return ByOthers
}

// others returns the rules that let in more than is wanted or may be, as one if only their sources differ.
func (j *judge) others(f family, rules []rule, ports secgroup.PortRange) []Opening {
	others := []Opening{}
	for _, in := range rules {
		_, unmeant := divide([]secgroup.PortRange{ports}, in.publicPorts(j.TagKey))
		for _, p := range in.sources {
			if secgroup.FamilyOf(p) != f.Family || f.allowed.ContainsPrefix(p) {
				continue
			}
			i := slices.IndexFunc(others, func(o Opening) bool { return o.RuleOf == in.of() && o.PrefixList == in.Source.Reference })
			if i < 0 {
				i = len(others)
				others = append(others, Opening{RuleOf: in.of(), PrefixList: in.Source.Reference})
			}
			others[i].Sources = append(others[i].Sources, p)
			others[i].World = others[i].World || len(unmeant) > 0 && ipspace.IsWorld(p)
		}
	}
	for i, o := range others {
		others[i].Beyond = rangesOf(ipspace.Minus(ipspace.Of(o.Sources), f.allowed))
	}
	slices.SortStableFunc(others, func(a, b Opening) int { return cmp.Compare(b.Beyond.Size, a.Beyond.Size) })
	return others
}

// unreadable says why the entries of prefix lists could not be read.
func (j *judge) unreadable(ids []string) string {
	why := hint.Lines(j.Lists[ids[0]].Err)[0]
	return fmt.Sprintf("the entries of %s could not be read: %s", strings.Join(ids, ", "), cmp.Or(strings.Join(why.Hints, "; "), why.Problem))
}
