package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/status"
	"cloudfront-sg-sync/secgroup"
)

// A statusDocument says how all managed groups are: docs/schema/status.schema.json.
type statusDocument struct {
	wantedRanges
	Targets []statusTarget `json:"targets"`
	// Warnings is what needs a person, beside what the targets say.
	Warnings []string `json:"warnings"`
	Errors   []string `json:"errors"`
}

type statusTarget struct {
	Account       string           `json:"account"`
	Region        string           `json:"region"`
	RulesPerGroup int              `json:"rulesPerGroup"`
	Pools         []statusPool     `json:"pools"`
	PrefixLists   []listPool       `json:"prefixLists"`
	Exposures     []statusExposure `json:"exposures"`
	PartialPools  []statusPartial  `json:"partialPools"`
	StrayTags     []statusStrayTag `json:"strayTags"`
	// Notes say what could not be looked at beside the groups.
	Notes []string `json:"notes"`
	Error string   `json:"error"`
}

type statusPool struct {
	Name   string        `json:"name"`
	Groups []statusGroup `json:"groups"`
	// Missing counts the rules that are missing, those included that a group
	// would get and NoRoomFor, those that have no room.
	Missing   int    `json:"missing"`
	NoRoomFor int    `json:"noRoomFor"`
	Error     string `json:"error"`
}

type statusGroup struct {
	GroupID string   `json:"groupId"`
	Name    string   `json:"name"`
	VPC     string   `json:"vpc"`
	Ports   []string `json:"ports"`
	// Rules counts this tool's rules, and Free the slots that the quota leaves.
	Rules    int              `json:"rules"`
	Free     engine.PerFamily `json:"free"`
	Missing  int              `json:"missing"`
	LeftOver int              `json:"leftOver"`
	Foreign  int              `json:"foreign"`
	// AppliedPublication is nil where no rule says what it was made from.
	AppliedPublication *time.Time `json:"appliedPublication"`
	Error              string     `json:"error"`
}

// A statusExposure is a rule that opens a managed port to the world.
type statusExposure struct {
	GroupID     string   `json:"groupId"`
	Protocol    string   `json:"protocol"`
	FromPort    int32    `json:"fromPort"`
	ToPort      int32    `json:"toPort"`
	Source      string   `json:"source"`
	Description string   `json:"description"`
	Ports       []string `json:"ports"`
	Owned       bool     `json:"owned"`
	Managed     bool     `json:"managed"`
	Interfaces  []string `json:"interfaces"`
	Revocable   bool     `json:"revocable"`
	Advice      string   `json:"advice"`
}

// A statusPartial says where groups of a pool are not attached beside the others.
type statusPartial struct {
	Pool       string   `json:"pool"`
	Interfaces []string `json:"interfaces"`
	Missing    []string `json:"missing"`
	text       string
}

// A statusStrayTag is a tag that was meant for this tool, and does nothing.
type statusStrayTag struct {
	GroupID string `json:"groupId"`
	Name    string `json:"name"`
	Key     string `json:"key"`
	Value   string `json:"value"`
	Meant   string `json:"meant"`
	text    string
}

func newStatusDocument(p *engine.Proposal, around []status.Surroundings) statusDocument {
	d := statusDocument{wantedRanges: newWantedRanges(p), Targets: []statusTarget{}, Warnings: append(p.OtherRanges(), p.AtLists()...), Errors: messages(p.Failures())}
	for i, v := range p.Previews {
		target := statusTarget{
			Account: v.Target.Account, Region: v.Target.Region, RulesPerGroup: v.RulesPerGroup, Pools: []statusPool{}, PrefixLists: listDocument(v), Error: message(v.Err),
		}
		for _, pool := range v.Pools {
			target.add(pool)
		}
		target.surround(around[i])
		d.Targets = append(d.Targets, target)
	}
	return d
}

func (d *statusTarget) add(pool secgroup.PoolPlan) {
	s := statusPool{Name: pool.Name, Error: message(pool.Err)}
	if short, ok := errors.AsType[*secgroup.ShortageError](pool.Err); ok {
		s.NoRoomFor = short.Missing()
	}
	for _, g := range pool.Groups {
		group := statusGroup{
			GroupID: g.Group.ID, Name: g.Group.Name, VPC: g.Group.VPC, Ports: portNames(g.Settings.Ports),
			Rules:   g.Owned,
			Free:    engine.PerFamily{IPv4: g.FreeNow[secgroup.IPv4], IPv6: g.FreeNow[secgroup.IPv6]},
			Missing: g.Added, LeftOver: g.Revoked, Foreign: g.Foreign, Error: message(g.Err),
		}
		if !g.Applied.IsZero() {
			group.AppliedPublication = &g.Applied
		}
		s.Groups = append(s.Groups, group)
		s.Missing += g.Added
	}
	s.Missing += s.NoRoomFor
	d.Pools = append(d.Pools, s)
}

// surround adds what stands around the pools.
func (d *statusTarget) surround(s status.Surroundings) {
	d.Exposures, d.PartialPools, d.StrayTags, d.Notes = []statusExposure{}, []statusPartial{}, []statusStrayTag{}, []string{}
	for _, x := range s.Exposures {
		d.Exposures = append(d.Exposures, statusExposure{
			GroupID: x.GroupID, Protocol: x.Rule.Protocol, FromPort: x.Rule.From, ToPort: x.Rule.To,
			Source: x.Rule.Source.String(), Description: x.Rule.Description, Ports: portNames(x.Ports),
			Owned: x.Owned, Managed: x.Managed, Interfaces: append([]string{}, x.Interfaces...), Revocable: x.Revocable, Advice: x.Advice,
		})
	}
	for _, partial := range s.Partial {
		document := statusPartial{Pool: partial.Pool, Interfaces: partial.Interfaces, text: partial.String()}
		for _, g := range partial.Missing {
			document.Missing = append(document.Missing, g.ID)
		}
		d.PartialPools = append(d.PartialPools, document)
	}
	for _, tag := range s.Stray {
		d.StrayTags = append(d.StrayTags, statusStrayTag{tag.GroupID, tag.GroupName, tag.Key, tag.Value, tag.Meant, tag.String()})
	}
	if s.StrayErr != nil {
		d.Notes = append(d.Notes, fmt.Sprintf("mistyped tags are not looked for: %v", s.StrayErr))
	}
	if s.Err != nil {
		d.Notes = append(d.Notes, fmt.Sprintf("where the groups are attached, and what is open beside them, is not known: %v", s.Err))
	}
}

// revokeCommand is what to type to revoke the rule where it was found, as words
// for a shell.
func (x statusExposure) revokeCommand(region string, f placeFlags) []string {
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
