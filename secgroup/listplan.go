package secgroup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/planner"
	"cloudfront-sg-sync/internal/words"
)

// A ListPool is the part of a plan for the prefix lists of one pool: those of one family that share its ranges. A list
// of its own is a pool named by its ID.
type ListPool struct {
	Name   string
	Family Family
	Lists  []ListPlan // sorted by ID
	// Changes are to be made in this order, and none after one that failed.
	Changes []Change
	// Err says why the pool cannot be made equal to the request, or not wholly, as that of a [PoolPlan] does; where it
	// is too small it is a *[ListShortageError].
	Err error
	// Warnings is what does not keep the pool from being equal to the request but needs a person.
	Warnings []string
}

// A ListPlan is what becomes of one prefix list.
type ListPlan struct {
	List     *PrefixList
	Settings ListSettings
	// Kept counts the owned entries that are there already and stay, Foreign the entries that are not this tool's, and
	// Owned all that are.
	Kept, Foreign, Owned int
	// Free is how many more entries the list takes after the plan.
	Free int
	// Applied is when the newest file was published that an owned entry was made from; it is zero where there is none.
	Applied time.Time
	// Err is a problem of this list alone; its entries are left as they are.
	Err error
}

// A Change is one call to EC2 that adds entries to a prefix list and removes others, all at once or none.
type Change struct {
	ListID string
	Add    []Entry
	Remove []Entry
	// Gap and Closes are what those of a [Step] are.
	Gap    []netip.Prefix
	Closes bool

	anew []netip.Prefix // those of Add and Remove that only serve to describe entries anew
}

func (c Change) String() string {
	var parts []string
	for _, part := range []struct {
		verb string
		n    int
	}{{"add", len(c.Add)}, {"remove", len(c.Remove)}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", part.verb, part.n))
		}
	}
	return fmt.Sprintf("%s entries of %s", strings.Join(parts, " and "), c.ListID)
}

// Inverse returns the change that takes this one back, and so ends its gap.
func (c Change) Inverse() Change {
	return Change{ListID: c.ListID, Add: c.Remove, Remove: c.Add, Closes: true}
}

func (c Change) equal(o Change) bool {
	return c.ListID == o.ListID && slices.Equal(c.Add, o.Add) && slices.Equal(c.Remove, o.Remove) && slices.Equal(c.Gap, o.Gap)
}

// PlanLists returns the changes that make the prefix lists of one account and region equal to a request, pools sorted
// by name and family. It fails as [NewPlan] does.
//
// Each wanted range of a list's family is to be an entry of one list of its pool. What is wanted and what is owned is
// as [NewPlan] has it. An entry is described anew by two changes, see redescribe.
//
// What has a list is not looked at: groups of other accounts may, which nobody sees from here. The lists of a pool are
// taken to be referred to together.
func PlanLists(ctx context.Context, lists []PrefixList, req Request) ([]ListPool, error) {
	if req.Withdraw {
		req.Ranges = nil
	} else if err := refuseFuture(req); err != nil {
		return nil, err
	}
	pools := partitionLists(lists, req)
	for i := range pools {
		pools[i].plan(ctx, req)
	}
	return pools, nil
}

// partitionLists reads the lists' tags and sorts the lists into pools. One whose tags cannot be read stays in its pool,
// untouched.
func partitionLists(lists []PrefixList, req Request) []ListPool {
	type key struct {
		pool, id string // one of them
		family   Family
	}
	byKey := map[key]*ListPool{}
	for i := range lists {
		l := ListPlan{List: &lists[i]}
		if !req.Withdraw {
			l.Settings, l.Err = ParseListSettings(req.TagKey, l.List.Tags)
			if l.Err != nil {
				l.Settings = ListSettings{Pool: strings.TrimSpace(l.List.Tags[req.TagKey+poolSuffix])}
			}
		}
		l.Err = cmp.Or(l.Err, l.List.Err, req.Leave[l.List.ID])
		k := key{l.Settings.Pool, "", l.List.Family}
		if k.pool == "" {
			k.id = l.List.ID
		}
		if byKey[k] == nil {
			byKey[k] = &ListPool{Name: cmp.Or(k.pool, k.id), Family: k.family}
		}
		byKey[k].Lists = append(byKey[k].Lists, l)
	}
	pools := make([]ListPool, 0, len(byKey))
	for _, pool := range byKey {
		slices.SortFunc(pool.Lists, func(a, b ListPlan) int { return cmp.Compare(a.List.ID, b.List.ID) })
		pools = append(pools, *pool)
	}
	slices.SortFunc(pools, func(a, b ListPool) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Family, b.Family), cmp.Compare(a.Lists[0].List.ID, b.Lists[0].List.ID))
	})
	return pools
}

// listPorts stand for the ports of a list's entries: which they are is said by the rules that refer to the list, and is
// the same for all of its entries.
//
// No rule of a group is taken for an entry: they begin at port 0, which the tag of a group cannot list.
var listPorts = PortRange{From: 0, To: 65535}

// group returns the list as a group that opens its entries on listPorts, for what is the same of both.
func (l *ListPlan) group() GroupPlan {
	g := &Group{ID: l.List.ID, Name: l.List.Name, Ingress: make([]Rule, len(l.List.Entries))}
	for i, e := range l.List.Entries {
		g.Ingress[i] = Rule{RuleID: entryID(e.Prefix), Description: e.Description}
	}
	plan := GroupPlan{Group: g, Settings: Settings{Pool: l.Settings.Pool}, Err: l.Err, unread: l.Err != nil}
	if l.Settings.Filled {
		plan.Settings.Ports = []PortRange{listPorts}
	}
	return plan
}

func entryID(p netip.Prefix) RuleID {
	return RuleID{Protocol: "tcp", From: int32(listPorts.From), To: int32(listPorts.To), Source: Source{Prefix: p}}
}

// what names a rule of a group, or an entry of a list, in a message.
func (r Rule) what() string {
	if r.RuleID == entryID(r.Source.Prefix) {
		return "entry " + r.Source.String()
	}
	return "rule " + r.RuleID.String()
}

// plan plans the pool.
func (lp *ListPool) plan(ctx context.Context, req Request) {
	req.Ranges = both(req.Ranges)[lp.Family]
	req.Attachments = nil
	groups := make([]GroupPlan, len(lp.Lists))
	for i := range lp.Lists {
		groups[i] = lp.Lists[i].group()
		lp.Warnings = append(lp.Warnings, groups[i].survey(req)...)
		lp.Lists[i].Foreign, lp.Lists[i].Applied = groups[i].Foreign, groups[i].Applied
	}
	defer lp.sum(req)
	if lp.Err = refuseOlder(groups, req); lp.Err != nil {
		return
	}
	p := newPool(groups, req)
	for i, l := range lp.Lists {
		h := &p.world.Holders[i]
		h.Swaps = true
		h.Room = [2]int{}
		h.Room[lp.Family] = l.List.MaxEntries - len(l.List.Entries)
	}
	held := p.guard()
	if e, ok := errors.AsType[*HeldError](held); ok {
		e.Entries = true
	}
	plan := p.plan(ctx)
	var untrue map[int]int
	lp.Changes, untrue = p.redescribe(lp.Lists, p.changes(plan))
	for i := range lp.Lists {
		if n := untrue[i]; n > 0 {
			lp.Warnings = append(lp.Warnings, untrueWarning(&lp.Lists[i], n))
		}
	}
	lp.Err = errors.Join(held, lp.shortage(p, plan))
}

// changes returns the calls of a plan as changes of prefix lists.
func (p *pool) changes(plan *planner.Plan) []Change {
	label := p.labels()
	var changes []Change
	for _, c := range plan.Calls {
		list := p.groups[c.Holder].Group
		change := Change{ListID: list.ID, Gap: c.Gap, Closes: c.Closes}
		for _, w := range c.Add {
			change.Add = append(change.Add, Entry{p.req.Ranges[w.Range], label(w)})
		}
		for _, item := range c.Remove {
			r := p.removed(list, item, label)
			change.Remove = append(change.Remove, Entry{r.Source.Prefix, r.Description})
		}
		change.sort()
		changes = append(changes, change)
	}
	return changes
}

// sum fills in what the changes leave of the lists.
func (lp *ListPool) sum(req Request) {
	for i := range lp.Lists {
		l := &lp.Lists[i]
		for _, e := range l.List.Entries {
			if stamped(req.TagKey, e.Description) {
				l.Owned++
			}
		}
		l.Kept = l.Owned
		l.Free = l.List.MaxEntries - len(l.List.Entries)
		for _, c := range lp.Changes {
			if c.ListID == l.List.ID {
				l.Kept -= len(c.Removed())
				l.Free += len(c.Remove) - len(c.Add)
			}
		}
	}
}

// A ListShortageError says that the prefix lists of a pool are too small for the entries that they should hold.
type ListShortageError struct {
	Pool              string
	Family            Family
	Needed, Available int // entries
	// ListID is the list to enlarge, and MaxEntries the size that it needs.
	ListID     string
	MaxEntries int
	// Cause, if set, is why there is no room although the pool may be large enough.
	Cause string
	// TagKey is the run's. Own is true for a list that is a pool of its own.
	TagKey string
	Own    bool
	// Region, if set, is where the list is. The caller may set it.
	Region string
}

// mostEntries is how large a list may be made. See
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-quotas-managed-prefix-lists
const mostEntries = 1000

func (e *ListShortageError) Error() string {
	text := fmt.Sprintf("pool %q is too small: its prefix lists need %s, room for %d", e.Pool, words.Count(e.Needed, e.Family.String()+" entry"), e.Available)
	if e.Own {
		text = fmt.Sprintf("%s is too small: it needs %s, room for %d", e.ListID, words.Count(e.Needed, e.Family.String()+" entry"), e.Available)
	}
	if e.Cause != "" {
		return text + ": " + e.Cause
	}
	return text + "; " + e.Hint()
}

// Hint returns the ways to make room. It is empty if there is a Cause, which says what to do.
func (e *ListShortageError) Hint() string {
	if e.Cause != "" {
		return ""
	}
	var ways []string
	if e.MaxEntries <= mostEntries {
		command := "aws ec2 modify-managed-prefix-list"
		if e.Region != "" {
			command += " --region " + e.Region
		}
		ways = append(ways, fmt.Sprintf("enlarge %s with %s --prefix-list-id %[1]s --max-entries %[3]d, for which each security group that refers to it must have room in its quota of rules (L-0EA8095F)",
			e.ListID, command, e.MaxEntries))
	}
	more := fmt.Sprintf("make one more list of %s, ", e.Family)
	tags := tag(e.TagKey, "ranges") + " and " + tag(e.TagKey+poolSuffix, e.Pool)
	if e.Own { // without the tag it would not share with the new one
		more += fmt.Sprintf("tag it %s, refer to it wherever %s is referred to, and only then tag %[2]s %s as well", tags, e.ListID, tag(e.TagKey+poolSuffix, e.Pool))
	} else { // a run that comes first may move entries to it
		more += fmt.Sprintf("refer to it wherever the others of the pool are referred to, and only then tag it %s", tags)
	}
	return strings.Join(append(ways, more), "; or ")
}

// shortage returns a *[ListShortageError] if not all wanted entries have a place.
func (lp *ListPool) shortage(p *pool, plan *planner.Plan) error {
	lack := len(plan.Unplaced)
	if lack == 0 {
		return nil
	}
	needed := len(p.req.Ranges)
	e := &ListShortageError{
		Pool: lp.Name, Family: lp.Family, Needed: needed, Available: needed - lack,
		TagKey: p.req.TagKey, Own: len(lp.Lists) == 1 && lp.Lists[0].Settings.Pool == "",
	}
	for i, l := range lp.Lists {
		size := l.List.MaxEntries + lack
		if p.frozen(i) || !l.Settings.Filled || e.ListID != "" && size >= e.MaxEntries {
			continue
		}
		e.ListID, e.MaxEntries = l.List.ID, size // the smallest
	}
	switch {
	case p.held:
		e.Cause = "the entries that are held back take the rest"
	case slices.ContainsFunc(p.world.Holders, func(h planner.Holder) bool { return h.Frozen }):
		e.Cause = "lists of the pool that this run leaves alone may have room for the rest"
	}
	return e
}
