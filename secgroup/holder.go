package secgroup

import (
	"slices"
	"time"
)

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
