package engine

import (
	"errors"
	"fmt"
	"slices"
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
	// Warnings is what did not fail but needs a person.
	Warnings []string `json:"warnings"`
	// Errors names each thing that failed: the file, an account and region, a pool, a group.
	Errors []string `json:"errors"`
	// The others are no part of the answer. Capacity is what the plans say of the pools.
	Capacity Capacity `json:"-"`
	// Described counts the accounts and regions whose groups were described.
	Described int `json:"-"`
	// Incomplete counts the network interfaces that lack wanted ranges, of those that were looked at.
	Incomplete int `json:"-"`
	// Looked tells whether all network interfaces of managed groups were looked at.
	Looked bool `json:"-"`
	// OpenToWorld counts the distinct rules that are open to the world on managed ports; nil where not all network
	// interfaces were looked at.
	OpenToWorld *int `json:"-"`
	// Denied tells whether an action was denied in the run's own account.
	Denied bool `json:"-"`
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

// Count counts a group, of which rules were added and revoked, and which may have failed.
func (s *Summary) Count(added, revoked int, failed bool) {
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
}

func (r *GroupReport) failure() *string { return &r.Error }

// NewReport returns a report of a run that has done nothing yet. Its lists are empty, not null, in JSON.
func NewReport(dryRun bool) *Report {
	return &Report{DryRun: dryRun, Groups: []GroupReport{}, PrefixLists: []PrefixListReport{}, Warnings: []string{}, Errors: []string{}}
}

// published notes what the run is made from.
func (r *Report) published(p *iprange.Publication) {
	r.SyncToken = p.SyncToken
	r.PublishedAt = p.Published
	r.Ranges = PerFamily{IPv4: len(p.IPv4), IPv6: len(p.IPv6)}
}

// add takes over what became of one account and region.
func (r *Report) add(tr *targetReport) {
	r.Capacity.add(tr.capacity)
	if tr.described {
		r.Described++
	}
	r.Warnings = append(r.Warnings, tr.warnings...)
	r.Incomplete += tr.incomplete
	r.Denied = r.Denied || tr.target.Account == "" && slices.ContainsFunc(tr.errs, awserr.IsDenied)
	for _, g := range tr.groups {
		r.Groups = append(r.Groups, *g)
		r.Summary.Count(g.Added, g.Revoked, g.Error != "")
	}
	r.Changed = r.Changed || r.Summary.Changed > 0
	for _, l := range tr.lists {
		r.PrefixLists = append(r.PrefixLists, *l)
		r.Changed = r.Changed || l.Added+l.Removed > 0
	}
}

// has reports whether a group or a prefix list with an ID was looked at.
func (r *Report) has(id string) bool {
	return slices.ContainsFunc(r.Groups, func(g GroupReport) bool { return g.GroupID == id }) ||
		slices.ContainsFunc(r.PrefixLists, func(l PrefixListReport) bool { return l.PrefixListID == id })
}

// A ListSummary counts prefix lists, and entries of all of them.
type ListSummary struct{ Lists, Changed, Failed, Added, Removed int }

// Lists sums up what became of the prefix lists.
func (r *Report) Lists() ListSummary {
	s := ListSummary{Lists: len(r.PrefixLists)}
	for _, l := range r.PrefixLists {
		s.Added += l.Added
		s.Removed += l.Removed
		if l.Added+l.Removed > 0 {
			s.Changed++
		}
		if l.Error != "" {
			s.Failed++
		}
	}
	return s
}

// fail notes the failures of the run and returns them as one error, or nil.
func (r *Report) fail(errs []error) error {
	errs = OncePerRole(errs)
	for _, err := range errs {
		r.Errors = append(r.Errors, err.Error())
	}
	return errors.Join(errs...)
}

// targetReport is what became of one target, before it goes into the Report of all.
type targetReport struct {
	target *Target
	groups []*GroupReport      // in the order of the plan
	lists  []*PrefixListReport // as well
	errs   []error
	// described tells whether the groups of the target were described, planned whether they were planned for as well.
	described, planned bool
	plan               *secgroup.Plan // the last
	watched
	// capacity is that of the last plan.
	capacity Capacity
	// shared are groups of other accounts, which are left alone.
	shared []secgroup.Group
	// look is what was found of prefix lists.
	look lookedUp
	// warnings are those of the last plan.
	warnings []string
	// incomplete counts the network interfaces that lack something; blind is true where nobody may look at them.
	incomplete int
	blind      bool
}

// restart forgets what an earlier plan failed with, and the groups that it changed nothing of: they may be gone.
func (tr *targetReport) restart() {
	tr.errs, tr.warnings, tr.incomplete = nil, nil, 0
	for _, g := range tr.shared {
		tr.warnings = append(tr.warnings, sharedGroup(tr.target, g))
	}
	tr.groups = slices.DeleteFunc(tr.groups, func(r *GroupReport) bool { return r.Added+r.Revoked == 0 })
	for _, r := range tr.groups {
		r.Error = ""
	}
	tr.lists = slices.DeleteFunc(tr.lists, func(r *PrefixListReport) bool { return r.Added+r.Removed == 0 })
	for _, r := range tr.lists {
		r.Error = ""
	}
	if tr.look.err != nil {
		tr.fail(tr.look.err)
	}
	if tr.look.warning != "" {
		tr.warnings = append(tr.warnings, tr.look.warning)
	}
}

// group returns the report of a group, making it if it is the first.
func (tr *targetReport) group(g secgroup.GroupPlan) *GroupReport {
	if i := slices.IndexFunc(tr.groups, func(r *GroupReport) bool { return r.GroupID == g.Group.ID }); i >= 0 {
		return tr.groups[i]
	}
	r := &GroupReport{
		Account: tr.target.Account,
		Region:  tr.target.Region,
		GroupID: g.Group.ID,
		Name:    g.Group.Name,
		Pool:    g.Settings.Pool,
		Ports:   []string{},
		Kept:    g.Kept,
		Foreign: g.Foreign,
	}
	for _, p := range g.Settings.Ports {
		r.Ports = append(r.Ports, p.String())
	}
	tr.groups = append(tr.groups, r)
	return r
}

// notePlan notes that the target is planned, and what the plan could not see.
func (tr *targetReport) notePlan(plan *secgroup.Plan) {
	tr.plan, tr.planned, tr.blind = plan, true, plan.Blind
	if plan.Blind {
		tr.warnings = append(tr.warnings, blind(tr.target))
	}
}

// conclude notes what became of a pool. It reports whether planning again may help.
func (tr *targetReport) conclude(pool secgroup.PoolPlan, failed error, only []string, r *refusals) (again bool) {
	for _, err := range failuresOf(pool, only) {
		tr.fail(err)
	}
	tr.warn(pool)
	if failed == nil {
		return false
	}
	tr.fail(failed)
	if secgroup.IsConflict(failed) {
		tr.target.forgetQuota(failed)
	}
	return r.note(failed, pool)
}

// concludeLists does for a pool of prefix lists what conclude does for one of groups.
func (tr *targetReport) concludeLists(pool secgroup.ListPool, failed error, only []string, r *refusals) (again bool) {
	for _, err := range listFailures(pool, only) {
		tr.fail(err)
	}
	for _, w := range pool.Warnings {
		tr.warnings = append(tr.warnings, fmt.Sprintf("%v: %s", tr.target, w))
	}
	if failed == nil {
		return false
	}
	tr.fail(failed)
	return r.noteChange(failed, pool)
}

// warn notes what needs a person although the pool does not fail.
func (tr *targetReport) warn(pool secgroup.PoolPlan) {
	for _, w := range pool.Warnings {
		tr.warnings = append(tr.warnings, fmt.Sprintf("%v: %s", tr.target, w))
	}
	for _, eni := range pool.Interfaces {
		if eni.Lacks > 0 {
			tr.incomplete++
			tr.warnings = append(tr.warnings, fmt.Sprintf("%v: %v", tr.target, eni))
		}
	}
}

// fail notes an error of the target.
func (tr *targetReport) fail(err error) {
	tr.errs = append(tr.errs, fmt.Errorf("%v: %w", tr.target, err))
}
