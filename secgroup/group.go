// Package secgroup keeps tagged EC2 security groups equal to a set of IP ranges, such as those that package iprange
// returns. It also keeps tagged prefix lists equal to them.
//
// The tags of a group say which ports to open, see [ParseSettings]. A sync has three parts. [Discover] describes the
// groups that carry the tag. [NewPlan] compares them with the wanted ranges and returns the steps that make them equal,
// in an order in which no address that is open and still wanted is closed on the way. [Apply] takes one step; no step of
// a [Sequence] may follow one that failed.
//
// A rule belongs to this package if its description is a [Stamp] with the tag key; it changes no other rule. With the
// [Attachments] of the groups, a plan also keeps every network interface open that is open now.
//
// Prefix lists are found by [DiscoverLists]; NewPlan and Apply serve them as well.
//
// The plans are pure functions of what was discovered. Only the functions that take a client talk to EC2.
package secgroup

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// A Rule is one ingress rule: a protocol, its ports and one source.
//
// EC2 tells rules of a group apart by these three; the description is not part of a rule's identity. See "Security
// group rules" in the Amazon VPC User Guide: https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
type Rule struct {
	RuleID
	Description string `json:"description"`
	// Weight is what a rule that refers to a prefix list counts against the quota of rules per group, see [Rule.Weighs].
	Weight Weight `json:"-"`
}

// A RuleID is what identifies an ingress rule within its group.
type RuleID struct {
	Protocol string `json:"protocol"` // "tcp", "udp", "icmp", "icmpv6", a protocol number, or "-1" for all
	// From and To are the first and last port, or for ICMP the type and code; both are -1 where a rule has none.
	From   int32  `json:"fromPort"`
	To     int32  `json:"toPort"`
	Source Source `json:"source"`
}

// A Source is where a rule lets traffic in from: an IP range, or a reference.
type Source struct {
	Prefix netip.Prefix // valid for an IP range
	// Reference is "pl-…" for a prefix list and "OWNER/sg-…" for a security group of the account OWNER; it is empty for
	// an IP range.
	Reference string
}

func (s Source) String() string {
	if s.Prefix.IsValid() {
		return s.Prefix.String()
	}
	return s.Reference
}

// MarshalText returns the source as [Source.String] does.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Ports returns the ports as a group's tag lists them, or "all".
func (id RuleID) Ports() string {
	switch {
	case id.From < 0:
		return "all"
	case id.From == id.To:
		return strconv.Itoa(int(id.From))
	}
	return fmt.Sprintf("%d-%d", id.From, id.To)
}

func (id RuleID) String() string {
	ports := id.Ports()
	if id.From < 0 {
		ports += " ports"
	}
	return fmt.Sprintf("%s %s from %s", id.Protocol, ports, id.Source)
}

// OpenPorts returns the first and the last TCP port that the rule opens, or a range that is empty. An entry of a prefix
// list opens the ports of the rules that refer to the list, which port 0 stands for.
func (id RuleID) OpenPorts() (first, last int) {
	switch {
	case id.Protocol == "": // an entry
		return int(listPort.From), int(listPort.To)
	case id.Protocol == "-1":
		return 0, 65535
	case id.Protocol == "tcp" && id.From >= 0:
		return int(id.From), int(id.To)
	}
	return 0, -1
}

// OpensTCP reports whether the rule opens every port of p over TCP.
func (id RuleID) OpensTCP(p PortRange) bool {
	first, last := id.OpenPorts()
	return first <= int(p.From) && int(p.To) <= last
}

// Within reports whether the rule opens TCP ports, and none but those listed, which are sorted.
func (id RuleID) Within(ports []PortRange) bool {
	if id.Protocol != "tcp" || id.From < 0 {
		return false
	}
	next := id.From // the first port of the rule not yet found to be listed
	for _, p := range ports {
		if int32(p.From) <= next && next <= int32(p.To) {
			next = int32(p.To) + 1
		}
	}
	return next > id.To
}

// compare orders rules by protocol, ports and source.
func (id RuleID) compare(o RuleID) int {
	return cmp.Or(
		cmp.Compare(id.Protocol, o.Protocol),
		cmp.Compare(id.From, o.From),
		cmp.Compare(id.To, o.To),
		id.Source.Prefix.Compare(o.Source.Prefix),
		cmp.Compare(id.Source.Reference, o.Source.Reference),
	)
}

// A Family is an IP version; the quota of rules per group holds for each apart.
type Family int

// The two families, usable as indexes of a [Weight].
const (
	IPv4 Family = iota
	IPv6
)

func (f Family) String() string { return [...]string{"IPv4", "IPv6"}[f] }

// FamilyOf returns the family of a prefix.
func FamilyOf(p netip.Prefix) Family {
	if p.Addr().Is4() {
		return IPv4
	}
	return IPv6
}

// Weight is a number of rules for each [Family]: what a rule takes of a group's quota, or what a group has left of it.
type Weight [2]int

// Add adds n times o.
func (w *Weight) Add(o Weight, n int) {
	for f := range w {
		w[f] += n * o[f]
	}
}

// Weighs returns what the rule counts against its holder's room, which is never zero: unless Weight says more, one rule
// in the family of its IP range, or for a reference one rule in both.
// See "Security groups" in Amazon VPC quotas: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
func (r Rule) Weighs() Weight {
	switch {
	case r.Weight != Weight{}:
		return r.Weight
	case !r.Source.Prefix.IsValid():
		return Weight{1, 1}
	case FamilyOf(r.Source.Prefix) == IPv4:
		return Weight{1, 0}
	}
	return Weight{0, 1}
}

// A Kind tells security groups from prefix lists.
type Kind int

// The kinds of holders.
const (
	SecurityGroup Kind = iota
	ManagedPrefixList
)

// noun returns the word for one of the rules that a holder of the kind has.
func (k Kind) noun() string { return [...]string{"rule", "entry"}[k] }

// A Holder holds rules: it is a security group with its ingress rules, or a customer-managed prefix list with its
// entries. An entry is a rule that consists of its source: the security groups that refer to the list say which ports
// it opens.
type Holder struct {
	Kind  Kind
	ID    string // sg-… or pl-…
	Name  string
	VPC   string // of a security group
	Owner string // the account; other accounts may share the holder
	Tags  map[string]string
	// Ingress holds the inbound rules of a group, one per source, or the entries of a list.
	Ingress []Rule
	// Egress holds the outbound rules of a group, whose sources are destinations. It is nil if nobody read them.
	Egress []Rule
	// These are of a prefix list. A change names the version that it is made for, and makes the next one. A rule that
	// refers to the list weighs MaxEntries.
	Family     Family
	Version    int64
	MaxEntries int
	// Err says why the rules could not be read. A plan does not change such a holder.
	Err error
}

// A Group is a holder that is a security group.
type Group = Holder

// listPort stands for the ports that the entries of a prefix list open, whatever they are. No tag can name port 0.
var listPort = PortRange{}

// Contents are the rules that a holder has at some time, and the room that they leave.
type Contents struct {
	Rules map[RuleID]Rule
	Free  Weight
}

// Add adds rules. One that is there already stays as it is.
func (c *Contents) Add(rules []Rule) {
	for _, r := range rules {
		if _, there := c.Rules[r.RuleID]; !there {
			c.Rules[r.RuleID] = r
			c.Free.Add(r.Weighs(), -1)
		}
	}
}

// Remove removes rules, as far as they are there.
func (c *Contents) Remove(rules []Rule) {
	for _, r := range rules {
		if there, ok := c.Rules[r.RuleID]; ok {
			delete(c.Rules, r.RuleID)
			c.Free.Add(there.Weighs(), 1)
		}
	}
}

// A HolderPlan is the part of a plan for one holder.
type HolderPlan struct {
	*Holder
	Settings Settings
	// Added and Removed count the rules that the steps add to the holder and remove from it, Kept the owned rules that
	// are there already and stay, Foreign the rules that are not this tool's, and Owned the owned rules there are now.
	Added, Removed, Kept, Foreign, Owned int
	// FreeNow is the room that its quota or size leaves now, Free the room after the plan.
	FreeNow, Free Weight
	// Applied is when the newest file was published that an owned rule was made from; it is zero if there is none.
	Applied time.Time
	Held    map[RuleID]bool // the rules that the guard keeps where they are
	Problem error           // keeps the plan from changing this holder; its rules stay as they are
	Unread  bool            // its tags or rules cannot be read

	tagKey string
	newest Rule // that Applied is of
	doubts []doubt
	pool   *PoolPlan
	frozen bool     // not to be changed by this run
	after  Contents // what the steps make of it
}

// Owns reports whether a rule is this tool's to change: its description says so, or its group is exclusive and the rule
// lets an IP range in on listed ports and no others.
func (h *HolderPlan) Owns(r Rule) bool {
	if stamped(h.tagKey, r.Description) {
		return true
	}
	return h.Settings.Exclusive && r.Source.Prefix.IsValid() && r.Within(h.Settings.Ports)
}

// lists reports whether the tags of the holder list a port.
func (h *HolderPlan) lists(port PortRange) bool { return slices.Contains(h.Settings.Ports, port) }

func (h *HolderPlan) isFrozen() bool { return h.frozen }

// Now returns what the holder contains before the plan.
func (h *HolderPlan) Now() Contents {
	c := Contents{make(map[RuleID]Rule, len(h.Ingress)), h.FreeNow}
	for _, r := range h.Ingress {
		c.Rules[r.RuleID] = r
	}
	return c
}

// rule returns the identity of the holder's rule that opens a port to a prefix.
func (h *Holder) rule(port PortRange, source Source) RuleID {
	if h.Kind == ManagedPrefixList {
		return RuleID{Source: source}
	}
	return RuleID{Protocol: "tcp", From: int32(port.From), To: int32(port.To), Source: source}
}

// take takes the steps about the holder.
func (h *HolderPlan) take(steps []Step) {
	h.after = h.Now()
	for _, s := range steps {
		if s.HolderID == h.ID {
			h.Added += len(s.Add)
			h.Removed += len(s.Remove)
			h.after.Remove(s.Remove)
			h.after.Add(s.Add)
		}
	}
	h.Free = h.after.Free
	for _, r := range h.Ingress {
		switch {
		case !h.Owns(r):
			h.Foreign++
		case h.willHave(r.RuleID):
			h.Kept++
		}
	}
	h.Owned = len(h.Ingress) - h.Foreign
}

// willHave reports whether the holder has a rule once the steps are taken.
func (h *HolderPlan) willHave(id RuleID) bool {
	_, has := h.after.Rules[id]
	return has
}
