package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"cloudfront-sg-sync/internal/approach"
	"cloudfront-sg-sync/internal/doctor"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
)

// pageBlocked says that a security group makes CloudFront answer 504.
const pageBlocked = "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/http-504-gateway-timeout.html"

// securityGroups is what doctor looks at before it connects, with AWS access: whether all of CloudFront gets in at the
// origin's addresses, by the model of the door. What it found goes to where found points.
func (c *doctorCommand) securityGroups(t terminal, o doctor.Options, found **document.Check) func(context.Context, *doctor.Report) doctor.Step {
	return func(ctx context.Context, known *doctor.Report) doctor.Step {
		if len(known.Addresses) == 0 {
			return doctor.Step{Verdict: doctor.Skipped, Summary: "no address"}
		}
		check := checkCommand{placeFlags: c.placeFlags, Port: []string{strconv.Itoa(int(o.Origin.Port))}}
		check.Region = slices.Clone(check.Region)
		check.Name = doorOf(o.Origin, known.Addresses)
		var demands *doctor.SecondLayer
		check.also = func(ctx context.Context, client approach.Client, scene *door.Scene) {
			demands = demandsOf(ctx, client, scene, o)
		}
		err := check.Validate()
		in := t.in
		if err == nil && c.ranges != nil {
			var document []byte
			document, err = c.ranges()
			check.IPRanges, in = "-", bytes.NewReader(document)
		}
		if err == nil {
			*found, err = check.check(ctx, terminal{in, t.out, io.Discard}) // doctor itself tells what is under way
		}
		if err != nil {
			return unchecked(err)
		}
		step := groupsStep(*found)
		step.Demands = demands
		return step
	}
}

// demandsOf returns what the rules of the load balancer demand that is the origin's door, if there is one.
func demandsOf(ctx context.Context, client approach.Client, scene *door.Scene, o doctor.Options) *doctor.SecondLayer {
	for _, s := range scene.Subjects {
		if s.Interface == nil || s.Interface.LoadBalancer() == "" {
			continue
		}
		d := client.Demands(ctx, s.Interface.LoadBalancer(), o.Origin.Port, o.Secrets())
		switch {
		case d == nil:
			return nil
		case !d.Known:
			return &doctor.SecondLayer{Demanded: doctor.Maybe, Cause: d.Cause}
		case d.Demanded:
			return &doctor.SecondLayer{Demanded: doctor.Yes, Cause: d.Cause}
		}
		return &doctor.SecondLayer{Demanded: doctor.No, Cause: d.Cause}
	}
	return nil
}

// doorOf names the door of an origin: its load balancer, if its name is that of one, or else its addresses.
func doorOf(o doctor.Origin, addresses []doctor.Address) []string {
	if name := o.Name(); isBalancer(name) {
		return []string{name}
	}
	var all []string
	for _, a := range addresses {
		all = append(all, a.IP.String())
	}
	return all
}

// isBalancer reports whether a host is a load balancer's.
func isBalancer(host string) bool {
	_, region := door.ParseName(host)
	return region != ""
}

// unchecked says why the groups could not be checked.
func unchecked(err error) doctor.Step {
	f := doctor.Finding{Code: "groups-unknown", Verdict: doctor.Warn, Message: err.Error()}
	if _, ok := errors.AsType[*door.NotFoundError](err); ok {
		f.Advice = "If the origin is a load balancer, name it: cfsg check --load-balancer NAME. If it is in another account or region, say so with --profile or --region."
	}
	return doctor.Step{Verdict: doctor.Warn, Summary: "not looked at", Findings: []doctor.Finding{f}}
}

// groupsStep is the check in doctor's words.
func groupsStep(d *document.Check) doctor.Step {
	services := strings.Join(d.Services, ", ")
	step := doctor.Step{Verdict: doctor.OK, Summary: fmt.Sprintf("all of %s is let in by the security groups", services), Access: accessAt(d)}
	if d.OnlyWanted() {
		step.Summary += ", and nobody else"
	}
	find := func(f doctor.Finding) {
		step.Findings = append(step.Findings, f)
		if f.Verdict == doctor.Fail || step.Verdict == doctor.OK {
			step.Verdict = f.Verdict
		}
	}
	f := doctor.Finding{Verdict: doctor.Warn, Message: d.Report.Cause}
	switch {
	case d.Report.Mark == door.Failed:
		f.Code, f.Verdict, step.Summary = "groups-block", doctor.Fail, fmt.Sprintf("part of %s is blocked", services)
		f.Advice = "cfsg check shows which ranges, and what lets them in."
		f.CloudFrontStatus, f.Source = 504, pageBlocked
		find(f)
	case d.BeyondOriginFacing():
		f.Code, step.Summary = "groups-origin-facing", "all servers that connect to origins today are let in"
		find(f)
	case d.Report.Mark == door.Attention && len(d.OpenToWorld) == 0:
		f.Code, step.Summary = "groups-unknown", "cannot tell who is let in"
		find(f)
	}
	if len(d.OpenToWorld) > 0 {
		find(doctor.Finding{
			Code: "groups-open", Verdict: doctor.Warn, Message: "everyone else is let in as well, so CloudFront and its WAF can be bypassed: " + d.OpenToWorld[0].String(),
			Advice: "Before you revoke it, cfsg check says whether CloudFront gets in without it.",
		})
	}
	return step
}

// accessAt says who gets in at each address of the interfaces.
func accessAt(d *document.Check) map[netip.Addr]doctor.Access {
	all := map[netip.Addr]doctor.Access{}
	for _, s := range d.Subjects {
		for _, p := range s.Ports { // one, as one is asked for
			for _, f := range p.Families {
				addresses := s.Interface.PublicIPv4
				if f.Family == "ipv6" {
					addresses = s.Interface.IPv6
				}
				for _, a := range addresses {
					all[a] = accessOf(f)
				}
			}
		}
	}
	return all
}

// accessOf says who gets in over an address family.
func accessOf(f door.FamilyReport) doctor.Access {
	letsCloudFrontIn := f.Wanted.Ranges > 0 && (f.Verdict == door.Open || f.BeyondOriginFacing())
	switch {
	case slices.ContainsFunc(f.Others, opensToAll):
		return doctor.Everyone
	case len(f.Unread) > 0:
		return doctor.AccessUnknown
	case letsCloudFrontIn && len(f.Others) == 0:
		return doctor.OnlyCloudFront
	}
	return doctor.SomeOthers
}

// opensToAll reports whether an opening is to every address of its family, and not only to so many that it counts as
// the world.
func opensToAll(o door.Opening) bool {
	return slices.ContainsFunc(o.Sources, func(p netip.Prefix) bool { return p.Bits() == 0 })
}
