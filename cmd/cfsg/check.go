package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/approach"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

type checkCommand struct {
	Name []string `arg:"" optional:"" help:"What to check: any of what the flags name."`
	placeFlags
	outputFlags
	Group        []string `placeholder:"ID" help:"A security group; several are judged together."`
	Instance     []string `placeholder:"ID" help:"An instance: each of its network interfaces."`
	Interface    []string `placeholder:"ID" help:"A network interface."`
	LoadBalancer []string `placeholder:"NAME" help:"A load balancer: each of its network interfaces."`
	Address      []string `placeholder:"IP" help:"A public address: the network interface that has it."`
	Port         []string `placeholder:"PORTS" help:"The ports (default: those in the groups' tags, or 443)."`

	selector door.Selector
	hosts    []string // names to look up
	ports    []secgroup.PortRange
	// also, if not nil, gets to see what was found, and may look further.
	also func(context.Context, approach.Client, *door.Scene)
}

// Validate reports flags that make no sense. An argument becomes the value of the flag for its kind.
func (c *checkCommand) Validate() error {
	for _, text := range c.Name {
		c.named(c.parse(text))
	}
	c.Name = nil
	for _, flag := range []*[]string{&c.Group, &c.Instance, &c.Interface, &c.LoadBalancer} {
		for i, text := range *flag {
			(*flag)[i] = c.parse(text)
		}
	}
	c.selector = door.Selector{Groups: c.Group, Instances: c.Instance, Interfaces: c.Interface, LoadBalancers: c.LoadBalancer}
	for _, text := range c.Address {
		name := c.parse(text)
		addr, err := netip.ParseAddr(name)
		switch {
		case err == nil:
			c.selector.Addresses = append(c.selector.Addresses, addr.Unmap())
		case strings.Contains(name, "."):
			c.hosts = append(c.hosts, name)
		default: // the DNS name of a load balancer
			c.selector.LoadBalancers = append(c.selector.LoadBalancers, name)
		}
	}
	if err := c.selector.Validate(); err != nil && len(c.hosts) == 0 {
		return err
	}
	var err error
	c.ports, err = parsePorts(c.Port)
	return err
}

// named adds something to check to the flag for its kind.
func (c *checkCommand) named(name string) {
	kind, _, _ := strings.Cut(name, "-")
	flag := cmp.Or(map[string]*[]string{"sg": &c.Group, "i": &c.Instance, "eni": &c.Interface}[kind], &c.LoadBalancer)
	if _, err := netip.ParseAddr(name); err == nil || strings.Contains(name, ".") { // an address or a host
		flag = &c.Address
	}
	*flag = append(*flag, name)
}

// lookup asks DNS; a test does not.
var lookup = net.DefaultResolver.LookupNetIP

// resolve finds the addresses of the hosts that are named.
func (c *checkCommand) resolve(ctx context.Context) error {
	for _, host := range c.hosts {
		found, err := lookup(ctx, "ip", host)
		if err != nil {
			return hint.With(fmt.Errorf("%s is neither an IP address nor a name that has one: %w", host, err), "name the load balancer, the instance or the address instead")
		}
		for _, addr := range found {
			c.selector.Addresses = append(c.selector.Addresses, addr.Unmap())
		}
	}
	return nil
}

// Run shows whether the groups let all of CloudFront in.
func (c *checkCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	if err := c.resolve(ctx); err != nil {
		return err
	}
	doc, err := c.check(ctx, t)
	if err != nil {
		return err
	}
	doc.Judgement = document.Judge(doc.Report.Mark, doc.Report.Cause, c.better(k, doc.Report)...)
	if err := c.print(t, doc, func(w *page.Page) { writeCheck(w, doc) }); err != nil {
		return err
	}
	if doc.ShutOut() {
		return c.failed(doc.Judgement)
	}
	return nil
}

// better returns the command that makes the verdict better: setup, where setup can do it; else the pages about tagged
// groups, which say what is missing.
func (c *checkCommand) better(k *kong.Context, r *door.Report) []string {
	switch {
	case r.Mark == door.OK:
		return nil
	case r.BeyondOriginFacing():
		return next(k)("check", "--service", originFacing)
	}
	var more []string
	if ports := r.SetupPorts(); len(ports) > 0 {
		more = []string{"--port", strings.Join(secgroup.PortNames(ports), ",")}
	}
	for _, s := range r.Subjects {
		if s.Judgement != r.Judgement || s.Interface == nil {
			continue
		}
		if s.Judgement.Beyond || s.Tagged && s.Mark == door.Attention && len(r.OpenToWorld) == 0 {
			return next(k)("check") // once a person has done what the cause says
		}
		if s.Tagged {
			continue
		}
		if origin := s.Interface.Origin(); origin != nil {
			return next(k)("setup", append(origin, more...)...)
		}
	}
	return next(k)("status")
}

func (c *checkCommand) check(ctx context.Context, t terminal) (*document.Check, error) {
	at, err := c.openOne(ctx, t, "a check looks", c.given())
	if err != nil {
		return nil, err
	}
	defer t.progress("looking at the security groups …")()
	target, cfg := at.target(), at.inAccount()
	client := ec2.NewFromConfig(cfg)
	reader := approach.NewClient(engine.Narrow(client), client, elb.NewFromConfig(cfg))
	scene, err := door.Discover(ctx, reader, c.selector)
	if err == nil {
		err = reader.Complete(ctx, scene)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	if c.also != nil {
		c.also(ctx, reader, scene)
	}
	at.settle(scene.Groups())
	question, err := at.question(c.ports)
	if err != nil {
		return nil, err
	}
	return &document.Check{
		Settings: at.settings, Services: at.settings.Services, Within: at.settings.Within,
		Account: target.Account, Region: target.Region, Report: door.Judge(scene, question),
	}, nil
}

// A checkPage shows a check to a person.
type checkPage struct {
	*page.Page
	services string
	within   string            // the services that may be let in as well, or empty
	lists    map[string]string // prefix lists with their names, by ID
}

// writeCheck shows who gets in, subject by subject.
func writeCheck(p *page.Page, d *document.Check) {
	w := checkPage{p, strings.Join(d.Services, ", "), strings.Join(d.Within, ", "), map[string]string{}}
	var lists [][]string
	for _, l := range d.PrefixLists {
		w.lists[l.ID] = strings.TrimSpace(l.ID + " " + l.Name)
		entries := fmt.Sprint(l.Entries)
		if l.Error != "" {
			entries = w.Bad("unknown")
		}
		lists = append(lists, page.Row(l.ID, l.Name, entries))
	}
	w.Line(w.Strong(iprange.Selection{Services: d.Services, Within: d.Within}.String()),
		fmt.Sprintf(" as published %s, security groups in %v", d.PublishedAt.Format(time.RFC3339), &engine.Target{Account: d.Account, Region: d.Region}))
	w.Line(w.Quiet("settings: " + d.Settings.Origin()))
	for _, note := range d.Notes {
		w.Marked(w.Warn("!"), note)
	}
	for i := 0; i < len(d.Subjects); {
		first, end := d.Subjects[i], i+1
		for ; end < len(d.Subjects); end++ { // interfaces with the same result, as those of a load balancer have
			s := d.Subjects[end]
			if s.Interface = first.Interface; !reflect.DeepEqual(s, first) {
				break
			}
		}
		w.subjects(d.Subjects[i:end], first.OpenToWorld(d.Report))
		i = end
	}
	w.Section([]string{"prefix list", "name", "ranges"}, lists)
	w.Line()
	if d.Judgement.Mark == document.OK {
		w.Say("%s", document.NotAuthentication)
	}
	unchecked := "Firewalls on the host were not checked."
	if slices.ContainsFunc(d.Subjects, func(s door.SubjectReport) bool { return s.Interface == nil }) {
		unchecked = "Of groups only inbound rules were checked: routes, network ACLs and targets belong to interfaces."
	}
	w.Line(w.Quiet(unchecked))
}

// subjects shows interfaces, or named groups, and what became of them.
func (w checkPage) subjects(subjects []door.SubjectReport, world []door.WorldRule) {
	s, in := subjects[0], w.In(2)
	w.Line()
	if s.Interface == nil {
		w.Line(w.Strong(strings.Join(words.Strings(s.Groups), ", ")))
	} else {
		for _, s := range subjects {
			writeInterface(w.Page, s.Interface)
		}
		if len(s.Groups) > 0 {
			in.Fact("groups", 8, ", ", words.Strings(s.Groups)...)
		}
	}
	for _, note := range s.Notes {
		in.Marked(w.Quiet("–"), note)
	}
	for _, p := range s.Ports {
		w.port(p)
	}
	if len(world) > 0 {
		w.Line()
	}
	for _, r := range world {
		in.Say("%s: %s", w.Bad("OPEN TO THE WORLD"), r)
	}
}

func writeInterface(w *page.Page, i *door.Interface) {
	addresses := slices.Concat(i.PublicIPv4, i.IPv6)
	if len(addresses) == 0 {
		addresses = i.PrivateIPv4
	}
	parts := []string{i.Instance, i.Description, strings.Trim(fmt.Sprint(addresses), "[]")}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	w.Line(w.Strong(i.ID), "  ", strings.Join(parts, "  "))
}

// port shows who gets in on a port.
func (w checkPage) port(p door.PortReport) {
	word, _, _ := strings.Cut(words.Ports([]string{p.Port}), " ")
	w.Line()
	w.Line("  ", word, " ", w.Strong(p.Port))
	in := checkPage{w.In(4), w.services, w.within, w.lists}
	for _, f := range p.Families {
		in.family(f)
	}
	in.others(p)
	if p.Verdict == door.Blocked && len(p.References) > 0 {
		in.Line()
		in.Marked(w.Warn("!"), "Members of a security group come in by their private addresses. That lets CloudFront in only at a VPC origin, if the group is CloudFront-VPCOrigins-Service-SG.")
	}
}

// others shows who else gets in.
func (w checkPage) others(p door.PortReport) {
	var rows [][]string
	var unread []string // of both families, most often the same
	for _, f := range p.Families {
		unread = append(unread, f.Unread...)
		for _, o := range f.Others {
			beyond := amount(o.Beyond.Size, f.Unit)
			if o.World {
				beyond = "everyone"
			}
			source := cmp.Or(w.lists[o.PrefixList], o.PrefixList, words.Few(words.Strings(o.Sources)))
			rows = append(rows, []string{source, beyond, o.Group.Name, o.Ports, o.Description})
		}
	}
	slices.Sort(unread)
	for _, id := range slices.Compact(unread) {
		rows = append(rows, []string{w.lists[id], "unknown"})
	}
	for _, r := range p.References {
		rows = append(rows, []string{"members of " + r.Source, "", r.Group.Name, r.Ports, r.Description})
	}
	w.Section([]string{"who else gets in", "beyond " + cmp.Or(w.within, w.services), "by group", "ports", "description"}, rows)
}

// verdictWidth is the room for a mark and the name of a family.
const verdictWidth = 8

// family shows the verdict on an address family.
func (w checkPage) family(f door.FamilyReport) {
	name := strings.Replace(f.Family, "ip", "IP", 1)
	say := func(style func(string) string, sign, format string, args ...any) {
		w.Marked(style(sign+" "+name)+" ", fmt.Sprintf(format, args...))
	}
	list := func() { w.Fact("", verdictWidth, "  ", words.Strings(f.Blocked.Prefixes)...) }
	switch blocked := len(f.Blocked.Prefixes); {
	case f.Wanted.Ranges == 0:
		say(w.Quiet, "–", "nothing is published")
	case blocked == 0 && f.OnlyByWorld != nil && len(f.OnlyByWorld.Prefixes) > 0:
		say(w.Warn, "!", "all of %s, but %s only through rules open to the world: without them CloudFront is shut out",
			w.services, words.Count(len(f.OnlyByWorld.Prefixes), "range"))
	case blocked == 0 && len(f.Findings) > 0:
		say(w.Quiet, " ", "the security groups let all of %s in", w.services)
	case blocked == 0:
		say(w.Good, "✓", "all of %s: %s", w.services, words.Count(f.Wanted.Ranges, "range"))
	case len(f.Unread) > 0:
		say(w.Warn, "?", "unknown: the entries of %s could not be read, and no other rule lets in %s of %s",
			strings.Join(f.Unread, ", "), words.Count(blocked, "range"), w.services)
		list()
	case f.BeyondOriginFacing():
		say(w.Warn, "!", "all servers that connect to origins today are let in; of the others of %s %s (-o json lists them)", w.services, blockedOf(f))
	case f.Blocked.Size == f.Wanted.Size:
		say(w.Bad, "✗", "nothing of %s is let in: %s", w.services, words.Count(f.Wanted.Ranges, "range"))
	default:
		text := blockedOf(f)
		if part := f.OriginFacingBlocked; part != nil {
			text += fmt.Sprintf(", %s of them of servers that connect to origins", page.Thousands(part.Size))
		}
		say(w.Bad, "✗", "%s", text)
		list()
	}
	for _, x := range f.Findings {
		style, sign := w.Warn, map[door.Verdict]string{door.Blocked: "✗", door.Unknown: "?", door.Open: "!"}[x.Verdict]
		if x.Verdict == door.Blocked {
			style = w.Bad
		}
		say(style, sign, "%s (%s of %s)", x.Cause, page.Thousands(x.Ranges.Size), amount(f.Wanted.Size, f.Unit))
	}
	if f.TakenIn != nil && f.TakenIn.Size > 0 && !f.World {
		w.Marked(strings.Repeat(" ", verdictWidth-1), fmt.Sprintf("also let in: %s of %s", amount(f.TakenIn.Size, f.Unit), w.within))
	}
}

func blockedOf(f door.FamilyReport) string {
	return fmt.Sprintf("%s, %s of %s", words.CountAs(len(f.Blocked.Prefixes), "range is blocked", "ranges are blocked"),
		page.Thousands(f.Blocked.Size), amount(f.Wanted.Size, f.Unit))
}

func amount(n uint64, unit string) string {
	if n == 1 {
		unit = map[string]string{"addresses": "address", "/64 networks": "/64 network"}[unit]
	}
	return page.Thousands(n) + " " + unit
}
