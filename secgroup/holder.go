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
func (k Kind) noun() string {
	if k == ManagedPrefixList {
		return "entry"
	}
	return "rule"
}

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
	// Family, Version and MaxEntries are those of a prefix list. A change names the version that it is made for, and
	// makes the next one. A rule that refers to the list weighs MaxEntries.
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

// A HolderPlan is the part of a plan for one holder.
type HolderPlan struct {
	*Holder
	Settings Settings
	// Added and Removed count the rules that the steps add to the holder and remove from it, Kept the owned rules that
	// are there already and stay, Foreign the rules that are not this tool's.
	Added, Removed, Kept, Foreign int
	// Owned counts the owned rules that the holder has now. FreeNow is the room that its quota or size leaves now, Free
	// the room after the plan.
	Owned         int
	FreeNow, Free Weight
	// Applied is when the newest file was published that an owned rule was made from; it is zero if there is none.
	Applied time.Time
	// Held are the rules that the guard keeps where they are.
	Held map[RuleID]bool
	// Problem keeps the plan from changing this holder. Its rules stay as they are.
	Problem error
	// Unread is true if its tags or rules cannot be read.
	Unread bool

	tagKey string
	frozen bool // not to be changed by this run
	room   Weight
}

// Owns reports whether a rule is this tool's to change: its description says so, or its group is exclusive and the rule
// lets an IP range in on listed ports and no others.
func (h *HolderPlan) Owns(r Rule) bool {
	if stamped(h.tagKey, r.Description) {
		return true
	}
	return h.Settings.Exclusive && r.Source.Prefix.IsValid() && r.Within(h.Settings.Ports)
}

// rule returns the identity of the holder's rule that opens a port to a prefix.
func (h *Holder) rule(port PortRange, source Source) RuleID {
	if h.Kind == ManagedPrefixList {
		return RuleID{Source: source}
	}
	return RuleID{Protocol: "tcp", From: int32(port.From), To: int32(port.To), Source: source}
}

// index returns the index of the holder's rule with an identity, or -1.
func (h *Holder) index(id RuleID) int {
	return slices.IndexFunc(h.Ingress, func(r Rule) bool { return r.RuleID == id })
}

// after returns the rules of the holder once the steps are taken.
func (h *Holder) after(steps []Step) []Rule {
	rules := slices.Clone(h.Ingress)
	for _, s := range steps {
		if s.HolderID != h.ID {
			continue
		}
		changed := make(map[RuleID]bool, len(s.Remove)+len(s.Describe))
		for _, r := range slices.Concat(s.Remove, s.Describe) {
			changed[r.RuleID] = true
		}
		rules = slices.DeleteFunc(rules, func(r Rule) bool { return changed[r.RuleID] })
		rules = append(append(rules, s.Add...), s.Describe...)
	}
	return rules
}

// count fills in what the steps make of the holder. It returns a warning if one of the rules that stay has a
// description whose date cannot be true.
func (h *HolderPlan) count(steps []Step, req Request) (warning string) {
	for _, s := range steps {
		if s.HolderID == h.ID {
			h.Added += len(s.Add)
			h.Removed += len(s.Remove)
		}
	}
	h.FreeNow, h.Free = h.room, h.room
	stays := map[RuleID]bool{}
	for _, r := range h.after(steps) {
		h.Free.add(r.Weighs(), -1)
		stays[r.RuleID] = true
	}
	for _, r := range h.Ingress {
		h.FreeNow.add(r.Weighs(), -1)
		if !h.Owns(r) {
			h.Foreign++
			continue
		}
		h.Owned++
		if stays[r.RuleID] {
			h.Kept++
		}
		if !stamped(h.tagKey, r.Description) {
			continue
		}
		t, err := believed(r, req)
		if err == nil && t.After(h.Applied) {
			h.Applied = t
		}
		if err != nil && stays[r.RuleID] && warning == "" {
			warning = h.ID + ": " + err.Error()
		}
	}
	return warning
}
