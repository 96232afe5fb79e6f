package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// A Report says what a run did, or in a dry run what it would do. Its JSON form is the function's answer.
type Report struct {
	SyncToken   string    `json:"syncToken"`
	PublishedAt time.Time `json:"publishedAt"`
	DryRun      bool      `json:"dryRun"`
	// Changed tells whether any rule or entry was added or removed.
	Changed bool          `json:"changed"`
	Ranges  PerFamily     `json:"ranges"`
	Summary Summary       `json:"summary"`
	Groups  []GroupReport `json:"groups"`
	// PrefixLists are no part of Summary; see [Report.Lists].
	PrefixLists []PrefixListReport `json:"prefixLists"`
	// Warnings did not fail, but need a person.
	Warnings []string `json:"warnings"`
	// Errors names each thing that failed: the file, an account and region, a pool, a group.
	Errors []string `json:"errors"`

	// The others are no part of the answer.
	Capacity    Capacity `json:"-"` // what the plans say of the pools
	Described   int      `json:"-"` // accounts and regions whose groups were described
	Incomplete  int      `json:"-"` // network interfaces seen that lack wanted ranges
	Looked      bool     `json:"-"` // whether all network interfaces of managed groups were seen
	OpenToWorld *int     `json:"-"` // distinct rules open to the world on managed ports; nil unless Looked
	Denied      bool     `json:"-"` // whether an action was denied in the run's own account
}

// PerFamily is a count of each address family: of ranges, or of free slots.
type PerFamily struct {
	IPv4 int `json:"ipv4"`
	IPv6 int `json:"ipv6"`
}

// A Summary counts groups, and rules of all groups.
type Summary struct {
	Groups  int `json:"groups"`
	Changed int `json:"changed"`
	Failed  int `json:"failed"`
	Added   int `json:"added"`
	Revoked int `json:"revoked"`
}

// count counts a group with the rules that were added and revoked, and whether it failed.
func (s *Summary) count(added, revoked int, failed bool) {
	s.Groups++
	s.Added += added
	s.Revoked += revoked
	if added+revoked > 0 {
		s.Changed++
	}
	if failed {
		s.Failed++
	}
}

// A Change is a rule, or an entry of a prefix list, that a run has added or removed.
type Change struct {
	Rule  secgroup.RuleID
	Added bool
}

// A GroupReport says what became of one security group.
type GroupReport struct {
	// Account is empty for the account that the run itself belongs to.
	Account string   `json:"account"`
	Region  string   `json:"region"`
	GroupID string   `json:"groupId"`
	Name    string   `json:"name"`
	Pool    string   `json:"pool"`
	Ports   []string `json:"ports"`
	Added   int      `json:"added"`
	Revoked int      `json:"revoked"`
	// Kept counts this tool's rules that were there before and stay, Foreign the rules of the group that are not this
	// tool's.
	Kept    int    `json:"kept"`
	Foreign int    `json:"foreign"`
	Error   string `json:"error"`
	// Changes are empty if the run has made too many to keep them.
	Changes []Change `json:"-"`
}

// A PrefixListReport says what became of one prefix list.
type PrefixListReport struct {
	Account      string `json:"account"`
	Region       string `json:"region"`
	PrefixListID string `json:"prefixListId"`
	Name         string `json:"name"`
	Family       string `json:"family"`
	// Version is that of the entries after the run, and MaxEntries how many there may be.
	Version    int64    `json:"version"`
	MaxEntries int      `json:"maxEntries"`
	Added      int      `json:"added"`
	Removed    int      `json:"removed"`
	Kept       int      `json:"kept"` // these two as in a GroupReport
	Foreign    int      `json:"foreign"`
	Error      string   `json:"error"`
	Changes    []Change `json:"-"`
}

// NewReport returns a report of a run that has done nothing yet. Its lists are empty, not null, in JSON.
func NewReport(dryRun bool) *Report {
	return &Report{DryRun: dryRun, Groups: []GroupReport{}, PrefixLists: []PrefixListReport{}, Warnings: []string{}, Errors: []string{}}
}

// maxChanges is how many changes a run keeps one by one: a notification has no room for more, at some 25 bytes each.
const maxChanges = 256 << 10 / 25

// settle notes what became of the holders. kept counts the changes of all targets so far.
func (tr *targetRun) settle(fetch func() (*iprange.Publication, error), kept *atomic.Int64) {
	publication, err := fetch()
	if err != nil {
		return
	}
	ranges := publication.Merged()
	for _, pool := range tr.Pools {
		tr.capacity.add(capacityOf(pool, ranges))
	}
	account, region := tr.Target.Account, tr.Target.Region
	for _, o := range tr.outcomes {
		h, changes, added, failure := o.plan, o.changes, 0, ""
		if o.err != nil {
			failure = o.err.Error()
		}
		for _, c := range changes {
			if c.Added {
				added++
			}
		}
		removed := len(changes) - added
		if kept.Add(int64(len(changes))) > maxChanges {
			changes = nil
		}
		if h.Kind == secgroup.ManagedPrefixList {
			tr.listReports = append(tr.listReports, PrefixListReport{
				account, region, h.ID, h.Name, h.Family.String(), o.version, h.MaxEntries, added, removed, h.Owned - removed, h.Foreign, failure, changes,
			})
		} else {
			tr.groupReports = append(tr.groupReports, GroupReport{
				account, region, h.ID, h.Name, h.Settings.Pool, secgroup.PortNames(h.Settings.Ports), added, removed, h.Owned - removed, h.Foreign, failure, changes,
			})
		}
	}
}

// add takes over what became of one account and region.
func (r *Report) add(tr *targetRun) {
	r.Capacity.add(tr.capacity)
	if tr.described {
		r.Described++
	}
	r.Warnings = append(r.Warnings, tr.warnings...)
	r.Incomplete += tr.incomplete
	r.Denied = r.Denied || tr.Target.Account == "" && slices.ContainsFunc(tr.errs, awserr.IsDenied)
	r.PrefixLists = append(r.PrefixLists, tr.listReports...)
	r.Groups = append(r.Groups, tr.groupReports...)
	for _, g := range tr.groupReports {
		r.Summary.count(g.Added, g.Revoked, g.Error != "")
	}
	listChanged := func(l PrefixListReport) bool { return l.Added+l.Removed > 0 }
	r.Changed = r.Summary.Changed > 0 || r.Changed || slices.ContainsFunc(tr.listReports, listChanged)
}

// Lists counts prefix lists and their entries as Summary counts groups and their rules.
func (r *Report) Lists() (s Summary) {
	for _, l := range r.PrefixLists {
		s.count(l.Added, l.Removed, l.Error != "")
	}
	return s
}

// fail notes the failures of the run and returns them as one error, or nil.
func (r *Report) fail(errs []error) error {
	errs = oncePerRole(errs)
	for _, err := range errs {
		r.Errors = append(r.Errors, err.Error())
	}
	return errors.Join(errs...)
}

// oncePerRole drops an error that repeats, for another region, that a role cannot be assumed.
func oncePerRole(errs []error) (all []error) {
	told := map[string]bool{}
	for _, err := range errs {
		if refused, ok := errors.AsType[*roleError](err); !ok {
			all = append(all, err)
		} else if !told[refused.roleARN] {
			told[refused.roleARN] = true
			all = append(all, fmt.Errorf("account %s: %w", AccountOf(refused.roleARN), refused))
		}
	}
	return all
}

// A Capacity says how much the pools of a run have to hold, and what room they have left after it.
type Capacity struct {
	// Wanted counts the rules that there should be: each range once for each port of each pool.
	Wanted int
	// Measured counts the pools whose room is known; Free is the number of free slots of the tightest of them.
	Measured, Free int
	// Short counts the pools that are too small.
	Short int
}

// capacityOf returns the capacity of a planned pool of groups that shall hold the ranges.
func capacityOf(pool secgroup.PoolPlan, ranges []netip.Prefix) Capacity {
	c := Capacity{Wanted: len(pool.Ports()) * len(ranges)}
	_, short := errors.AsType[*secgroup.ShortageError](pool.Err)
	if short {
		c.Short = 1
	}
	if c.Wanted > 0 && (pool.Err == nil || short) { // a pool that is left alone for another reason has no plan to measure
		c.Measured, c.Free = 1, freeSlots(pool, ranges)
	}
	return c
}

// add adds the capacity of other pools.
func (c *Capacity) add(o Capacity) {
	if o.Measured > 0 && (c.Measured == 0 || o.Free < c.Free) {
		c.Free = o.Free
	}
	c.Wanted += o.Wanted
	c.Measured += o.Measured
	c.Short += o.Short
}

// freeSlots returns how many more rules a pool surely holds: of its ports and of the families of the ranges, those that
// have the least room.
func freeSlots(pool secgroup.PoolPlan, ranges []netip.Prefix) int {
	var all []int
	for _, f := range []secgroup.Family{secgroup.IPv4, secgroup.IPv6} {
		if !slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return secgroup.FamilyOf(p) == f }) {
			continue
		}
		for _, port := range pool.Ports() {
			free := 0
			for _, g := range pool.Holders {
				if slices.Contains(g.Settings.Ports, port) {
					free += max(g.Free[f], 0) // a group over its quota takes no room from the others
				}
			}
			all = append(all, free)
		}
	}
	return slices.Min(all)
}
