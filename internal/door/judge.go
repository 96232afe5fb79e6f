package door

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"go4.org/netipx"
)

// Judge compares the ranges that the groups of each subject let in with the ranges asked about.
func Judge(scene *Scene, q Question) *Report {
	j := judge{Scene: scene, tagKey: q.TagKey}
	for _, f := range q.Families {
		j.families = append(j.families, newFamily(f, q))
	}
	report := &Report{
		SyncToken: q.Wanted.SyncToken, PublishedAt: q.Wanted.Published, Verdict: Open,
		Notes: []string{}, Subjects: []SubjectReport{}, PrefixLists: []PrefixListReport{}, OpenToWorld: []WorldRule{},
	}
	if scene.ListsErr != nil {
		report.Notes = append(report.Notes, fmt.Sprintf("prefix lists are shown without their names: %v", scene.ListsErr))
	}
	var judged []secgroup.PortRange
	for _, s := range scene.Subjects {
		r, ports := j.subject(s, q)
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
	for _, id := range slices.Sorted(maps.Keys(scene.Lists)) {
		l := scene.Lists[id]
		_, tagged := l.Tags[q.TagKey]
		r := PrefixListReport{ID: l.ID, Name: l.Name, Owner: l.Owner, Tagged: tagged, Entries: len(l.Entries)}
		if tagged {
			r.Pool = l.Tags[q.TagKey+"-pool"]
		}
		if l.Err != nil {
			r.Error = l.Err.Error()
		}
		report.PrefixLists = append(report.PrefixLists, r)
	}
	report.conclude(strings.Join(q.Services, ", "))
	return report
}

// A judge holds the wanted ranges.
type judge struct {
	*Scene
	families []family
	tagKey   string
}

// warn adds something that takes the check mark away.
func (r *SubjectReport) warn(format string, args ...any) {
	r.warnings = append(r.warnings, attention(format, args...))
}

// A family holds the wanted ranges of one address family.
type family struct {
	secgroup.Family
	wanted       *netipx.IPSet
	ranges       int // of wanted
	originFacing *netipx.IPSet
	// within is what may be let in as well, and allowed both.
	within, allowed *netipx.IPSet
}

func newFamily(f secgroup.Family, q Question) family {
	ranges := func(p *iprange.Publication) []netip.Prefix {
		if f == secgroup.IPv4 {
			return p.IPv4
		}
		return p.IPv6
	}
	wanted := family{Family: f, wanted: setOf(f, ranges(q.Wanted)), ranges: len(ranges(q.Wanted))}
	if q.OriginFacing != nil && len(ranges(q.OriginFacing)) > 0 {
		wanted.originFacing = setOf(f, ranges(q.OriginFacing))
	}
	wanted.allowed = wanted.wanted
	if q.Within != nil {
		within := setOf(f, ranges(q.Within))
		wanted.within = ipspace.Minus(within, wanted.wanted)
		wanted.allowed = ipspace.Of(slices.Concat(wanted.wanted.Prefixes(), within.Prefixes()))
	}
	return wanted
}

// A rule is a rule and its group.
type rule struct {
	secgroup.Rule
	group GroupID
	tags  map[string]string // of the group
}

// rules returns the rules that decide who gets in at a subject.
func (s Subject) rules() []rule {
	if s.Interface != nil && len(s.Groups) == 0 && s.Interface.NeedsNoGroup {
		return unfiltered
	}
	var rules []rule
	for _, g := range s.Groups {
		for _, in := range g.Ingress {
			rules = append(rules, rule{in, GroupID{g.ID, g.Name}, g.Tags})
		}
	}
	return rules
}

// subject judges a subject, and returns the ports that it was judged on.
func (j *judge) subject(s Subject, q Question) (r SubjectReport, ports []secgroup.PortRange) {
	r = SubjectReport{Interface: s.Interface, Groups: []GroupID{}, Verdict: Open, Notes: []string{}, Ports: []PortReport{}}
	for _, g := range s.Groups {
		r.Groups = append(r.Groups, GroupID{g.ID, g.Name})
		for _, in := range g.Ingress {
			stamp, ok := secgroup.ParseStamp(q.TagKey, in.Description)
			if ok && stamp.Published.After(q.Wanted.Published) && stamp.Published.After(r.newer) && (q.Now.IsZero() || !stamp.Published.After(q.Now)) {
				r.newer = stamp.Published
			}
		}
		_, tagged := g.Tags[q.TagKey]
		r.Tagged = r.Tagged || tagged
	}
	rules, families := s.rules(), j.families
	if s.Interface != nil {
		families, r.Notes = reachable(families, s.Interface)
		overIPv4 := slices.ContainsFunc(j.families, func(f family) bool { return f.Family == secgroup.IPv4 })
		if overIPv4 && s.Interface.Public() && !s.Interface.PublicOver(secgroup.IPv4) {
			// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-enable-ipv6.html
			r.warn("no public IPv4 address: CloudFront connects to it only if the origin's IP address type is ipv6 or dualstack")
		}
		switch {
		case len(s.Groups) > 0:
		case s.Interface.NeedsNoGroup:
			r.Notes = append(r.Notes, "no security group is attached to this Network Load Balancer, so everyone reaches it; groups can only be attached to one that was created with some")
		default:
			families = nil
			r.Notes = append(r.Notes, "no security group is attached, so there is nothing to judge")
		}
	}
	if len(families) == 0 {
		r.Verdict = Unknown
		return r, nil
	}
	if b := j.balancerOf(s.Interface); b != nil && b.Gone {
		r.Notes = append(r.Notes, fmt.Sprintf("no load balancer %s here: no listeners or targets were looked at", b.Name))
	}
	ports, notes := j.portsOf(s, q)
	r.Notes = append(r.Notes, notes...)
	for _, p := range ports {
		r.Ports = append(r.Ports, j.ports(p, s, rules, families)...)
	}
	for _, p := range r.Ports {
		r.Verdict = worse(r.Verdict, p.Verdict)
	}
	if _, open, lists := s.world(j.Scene, q.TagKey, ports); len(lists) > 0 {
		r.warn("cannot tell whether %s open to the world: %s", words.PortsAre(secgroup.PortNames(open)), j.unreadable(lists))
	}
	switch b, idle := j.balancerOf(s.Interface), withoutListener(ports, j.listening(s.Interface)); {
	case j.Network != nil && isClassic(s.Interface):
		r.warn("cannot see what is behind a Classic Load Balancer")
	case b == nil || b.Err != nil:
	case b.Gone:
		r.warn("cannot see what is behind load balancer %s: it is being deleted, or belongs to another account", b.Name)
	case len(idle) > 0:
		r.warn("load balancer %s has no listener on %s", b.Name, words.Ports(secgroup.PortNames(idle)))
	}
	return r, ports
}

// unfiltered stands for the rules of an interface that everyone reaches.
var unfiltered = []rule{
	{Rule: secgroup.Rule{RuleID: secgroup.RuleID{Protocol: "-1", From: -1, To: -1, Source: secgroup.Source{Prefix: netip.MustParsePrefix("0.0.0.0/0")}}}},
	{Rule: secgroup.Rule{RuleID: secgroup.RuleID{Protocol: "-1", From: -1, To: -1, Source: secgroup.Source{Prefix: netip.MustParsePrefix("::/0")}}}},
}

// reachable returns the families that an interface has an address of, and notes on those it has none of.
func reachable(families []family, i *Interface) (found []family, notes []string) {
	notes = []string{}
	for _, f := range families {
		switch has := f.Family == secgroup.IPv4 && len(i.PrivateIPv4) > 0 || f.Family == secgroup.IPv6 && len(i.IPv6) > 0; {
		case !has:
			notes = append(notes, fmt.Sprintf("it has no %s address, so nobody reaches it over %s", f, f))
		case i.Public() && !i.PublicOver(f.Family):
			notes = append(notes, fmt.Sprintf("it has no public %s address, so CloudFront does not reach it over %s", f, f))
		default:
			found = append(found, f)
		}
	}
	if !i.Public() {
		notes = append(notes, "it has no public address: CloudFront does not connect to it, unless it is a VPC origin; check the load balancer in front of it")
	}
	return found, notes
}

// ports judges the ports of a range, and reports those together that come out alike.
func (j *judge) ports(asked secgroup.PortRange, s Subject, rules []rule, families []family) []PortReport {
	var reports []PortReport
	var since uint16 // the first port of the last report
	for _, p := range cut(asked, slices.Concat(edges(rules), j.edges(s.Interface))) {
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

// edges returns the ports at which something on the way to an interface begins, and those behind which it ends.
func (j *judge) edges(i *Interface) []int32 {
	var edges []int32
	if i == nil {
		return nil
	}
	if j.Network != nil {
		edges = aclEdges(j.Network.Subnets[i.Subnet].ACLRules, false)
	}
	if b := j.balancerOf(i); b != nil {
		for _, l := range b.Listeners {
			edges = append(edges, int32(l.Port), int32(l.Port)+1)
		}
	}
	return edges
}

// wayIn judges the way to the security groups of an interface, and on from its load balancer.
func (j *judge) wayIn(r *FamilyReport, f family, i *Interface, p secgroup.PortRange) {
	if i == nil {
		return
	}
	if j.Network != nil {
		r.Findings = append(r.Findings, j.Network.path(i, f, p)...)
	}
	if b := j.balancerOf(i); b != nil {
		r.Findings = append(r.Findings, b.behind(j, f, p)...)
	}
	for _, finding := range r.Findings {
		r.Verdict = worse(r.Verdict, finding.Verdict)
		r.shut = r.shut || finding.Verdict == Blocked && (f.originFacing == nil || !isEmpty(ipspace.Common(finding.set, f.originFacing)))
	}
}

// port judges ports that no rule opens in part.
func (j *judge) port(p secgroup.PortRange, s Subject, rules []rule, families []family) PortReport {
	r := PortReport{Port: p.String(), Verdict: Open, Families: []FamilyReport{}, References: []Reference{}}
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
		r.Families = append(r.Families, j.family(f, open, p))
	}
	for i, f := range families {
		fr := &r.Families[i]
		fr.reason = j.reasonFor(*fr, r.Families)
		j.wayIn(fr, f, s.Interface, p)
		r.Verdict = worse(r.Verdict, fr.Verdict)
	}
	return r
}

// family judges the rules that open a port.
func (j *judge) family(f family, rules []rule, ports secgroup.PortRange) FamilyReport {
	r := FamilyReport{
		Family: strings.ToLower(f.String()), Unit: "addresses", Verdict: Open,
		Wanted: Amount{f.ranges, ipspace.Size(f.wanted.Prefixes())}, Others: []Opening{}, PrefixLists: []string{}, Unread: []string{}, Through: []Through{}, Findings: []Finding{},
	}
	if f.Family == secgroup.IPv6 {
		r.Unit = "/64 networks"
	}
	var sources []netip.Prefix
	for _, in := range rules {
		list, isList := j.Lists[in.Source.Reference]
		if isList && (list.Family == f.Family || list.Family < 0) && !slices.Contains(r.PrefixLists, list.ID) {
			r.PrefixLists = append(r.PrefixLists, list.ID)
			if list.Err != nil {
				r.Unread = append(r.Unread, list.ID)
			}
		}
		opened := sourcesOf(in.Rule, j.Lists)
		if by := j.through(in); !slices.Contains(r.Through, by) && slices.ContainsFunc(opened, f.wanted.OverlapsPrefix) {
			r.Through = append(r.Through, by)
		}
		sources = append(sources, opened...)
	}
	let := setOf(f.Family, sources)
	blocked := ipspace.Minus(f.wanted, let)
	r.Blocked = rangesOf(blocked)
	switch {
	case len(r.Blocked.Prefixes) == 0:
	case len(r.Unread) > 0:
		r.Verdict = Unknown
	default:
		r.Verdict = Blocked
	}
	if f.originFacing != nil {
		part := rangesOf(ipspace.Common(blocked, f.originFacing))
		r.OriginFacingBlocked = &part
	}
	if f.within != nil {
		part := rangesOf(ipspace.Common(let, f.within))
		r.TakenIn = &part
	}
	r.Others = j.others(f, rules, ports)
	r.World = slices.ContainsFunc(r.Others, func(o Opening) bool { return o.World })
	if slices.ContainsFunc(r.Others, func(o Opening) bool { return o.World && o.Group.ID != "" }) { // there is a rule to close
		narrow := setOf(f.Family, slices.DeleteFunc(sources, ipspace.IsWorld))
		part := rangesOf(ipspace.Minus(ipspace.Minus(f.wanted, blocked), narrow))
		r.OnlyByWorld = &part
	}
	return r
}

// through says what kind of rule a rule is.
func (j *judge) through(r rule) Through {
	list := j.Lists[r.Source.Reference]
	_, tagged := list.Tags[j.tagKey]
	switch {
	case slices.ContainsFunc(sourcesOf(r.Rule, j.Lists), ipspace.IsWorld):
		return ByWorld
	case tagged, strings.HasPrefix(r.Description, j.tagKey+":"):
		return ByOwn
	case list.Owner == "AWS":
		return ByAWSList
	case list.ID != "":
		return ByList
	}
	return ByOthers
}

// sourcesOf returns the IP ranges a rule lets in.
func sourcesOf(r secgroup.Rule, lists map[string]PrefixList) []netip.Prefix {
	if r.Source.Prefix.IsValid() {
		return []netip.Prefix{r.Source.Prefix}
	}
	return lists[r.Source.Reference].Entries
}

// others returns the rules that let in more than is wanted or may be, those that differ in nothing but their sources as
// one.
func (j *judge) others(f family, rules []rule, ports secgroup.PortRange) []Opening {
	type key struct {
		RuleOf
		list string
	}
	openings := map[key]*Opening{}
	order := []*Opening{}
	for _, in := range rules {
		for _, p := range sourcesOf(in.Rule, j.Lists) {
			if secgroup.FamilyOf(p) != f.Family || f.allowed.ContainsPrefix(p) {
				continue
			}
			k := key{in.of(), in.Source.Reference}
			if openings[k] == nil {
				openings[k] = &Opening{RuleOf: k.RuleOf, PrefixList: k.list, meant: in.isMeant(ports, j.tagKey)}
				order = append(order, openings[k])
			}
			openings[k].Sources = append(openings[k].Sources, p)
		}
	}
	others := make([]Opening, 0, len(order))
	for _, o := range order {
		o.World = !o.meant && slices.ContainsFunc(o.Sources, ipspace.IsWorld)
		o.Beyond = rangesOf(ipspace.Minus(setOf(f.Family, o.Sources), f.allowed))
		others = append(others, *o)
	}
	slices.SortStableFunc(others, func(a, b Opening) int { return cmp.Compare(b.Beyond.Size, a.Beyond.Size) })
	return others
}

// isMeant reports whether a tag says that ports are meant to be open to the world.
func (r rule) isMeant(ports secgroup.PortRange, tagKey string) bool {
	_, others := divide([]secgroup.PortRange{ports}, publicPorts(r.tags, tagKey))
	return len(others) == 0
}

// unreadable says why the entries of prefix lists could not be read.
func (j *judge) unreadable(ids []string) string {
	why := hint.Lines(j.Lists[ids[0]].Err)[0]
	return fmt.Sprintf("the entries of %s could not be read: %s", strings.Join(ids, ", "), cmp.Or(strings.Join(why.Hints, "; "), why.Problem))
}

// of returns what names the rule in a report.
func (r rule) of() RuleOf {
	return RuleOf{Group: r.group, Protocol: r.Protocol, Ports: r.Ports(), Description: r.Description}
}
