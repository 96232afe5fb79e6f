package door

import (
	"net/netip"
	"strings"
	"time"
)

// A Verdict says whether CloudFront gets in.
type Verdict string

// The verdicts, from best to worst.
const (
	Open    Verdict = "open"    // all wanted ranges are let in
	Unknown Verdict = "unknown" // cannot tell
	Blocked Verdict = "blocked" // some wanted range is not let in
)

// worse returns the worse of two verdicts.
func worse(a, b Verdict) Verdict {
	for _, v := range []Verdict{Blocked, Unknown} {
		if a == v || b == v {
			return v
		}
	}
	return Open
}

// A Report is the result of a check. Its verdict, like that of each part, is the worst of those below it.
type Report struct {
	SyncToken   string    `json:"syncToken"`
	PublishedAt time.Time `json:"publishedAt"`
	Judgement
	Verdict Verdict `json:"verdict"`
	// OpenToWorld are the rules that open ports which count to the world.
	OpenToWorld []WorldRule `json:"openToWorld"`
	// Notes say in prose what else there is to know.
	Notes       []string           `json:"notes"`
	Subjects    []SubjectReport    `json:"subjects"`
	PrefixLists []PrefixListReport `json:"prefixLists"`
}

// A SubjectReport is the result for an interface, or for groups named together.
type SubjectReport struct {
	Interface *Interface `json:"interface"` // null for named groups
	Groups    []GroupID  `json:"groups"`
	Judgement
	Verdict Verdict `json:"verdict"`
	// Notes say in prose what else there is to know.
	Notes []string     `json:"notes"`
	Ports []PortReport `json:"ports"`
	// Tagged says that a group is kept in sync by its tag.
	Tagged bool `json:"-"`

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
	Verdict  Verdict        `json:"verdict"`
	Families []FamilyReport `json:"families"`
	// References are the rules that let members of security groups in. They open the port to no address of the
	// Internet.
	References []Reference `json:"references"`
}

// A FamilyReport is the result for one address family on a port.
type FamilyReport struct {
	Family string `json:"family"` // ipv4 or ipv6
	// Unit is what sizes of the family count: addresses, or /64 networks.
	Unit    string  `json:"unit"`
	Verdict Verdict `json:"verdict"`
	// Wanted says how much should be let in.
	Wanted Amount `json:"wanted"`
	// Blocked is what no rule lets in, or where the verdict is unknown no rule that could be read.
	Blocked Ranges `json:"blocked"`
	// OriginFacingBlocked is the part of Blocked from which CloudFront connects to origins; null where that is not
	// known.
	OriginFacingBlocked *Ranges `json:"originFacingBlocked"`
	// Through says what lets the wanted ranges in, as far as they are: see [Through].
	Through []Through `json:"through"`
	// TakenIn are the ranges let in beyond the wanted ones, out of those that may be taken in; null if none may.
	TakenIn *Ranges `json:"takenIn"`
	// World says that one of the others opens the port to the world, so that CloudFront and its WAF can be bypassed, and
	// that no tag says this is meant.
	World bool `json:"world"`
	// OnlyByWorld is what of the wanted ranges gets in by rules that are open to the world and by no other: to close
	// those shuts it out. It is null where no rule of a group opens the port to the world.
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

// BeyondOriginFacing reports whether CloudFront's servers that connect to origins are all let in, though not all of the
// wanted ranges are.
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

// A RuleOf names a rule of a group, or several that differ in their sources only.
type RuleOf struct {
	Group       GroupID `json:"group"` // empty where no group is attached
	Protocol    string  `json:"protocol"`
	Ports       string  `json:"ports"`
	Description string  `json:"description"`
}

// An Opening is a rule that lets in more than the wanted ranges.
type Opening struct {
	RuleOf
	// Sources are the rule's IP ranges; for a prefix list they are its entries.
	Sources    []netip.Prefix `json:"sources"`
	PrefixList string         `json:"prefixList"` // pl-…, or empty
	// World says that the rule opens the port to the world.
	World bool `json:"world"`
	// Beyond is what of the sources is not wanted.
	Beyond Ranges `json:"beyond"`
}

// A Reference is a rule that lets members of a security group in.
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
