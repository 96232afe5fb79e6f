package engine

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"cloudfront-sg-sync/secgroup"

	"golang.org/x/sync/errgroup"
)

// Made says what rules and entries were made for, by their descriptions.
type Made struct {
	Services []string `json:"services"` // sorted
	Within   []string `json:"within"`   // sorted
	Rules    int      `json:"rules"`    // how many, entries included
}

// String returns the settings as a description has them, with the names in order.
func (m Made) String() string {
	return secgroup.Stamp{Services: m.Services, Within: m.Within}.Settings()
}

// MadeFor returns the settings of a run, to compare with those that rules were made for: the order of the names does
// not matter.
func MadeFor(services, within []string) Made {
	sorted := func(names []string) []string {
		all := append([]string{}, names...) // not null in JSON
		slices.Sort(all)
		return slices.Compact(all)
	}
	return Made{Services: sorted(services), Within: sorted(within)}
}

// MadeFrom sorts the rules and entries of holders by what they were made for, most rules first.
func MadeFrom(tagKey string, holders []secgroup.Holder) []Made {
	count := map[string]Made{}
	for _, h := range holders {
		for _, r := range h.Ingress {
			if stamp, ok := secgroup.ParseStamp(tagKey, r.Description); ok {
				made := MadeFor(stamp.Services, stamp.Within)
				made.Rules = count[made.String()].Rules + 1
				count[made.String()] = made
			}
		}
	}
	return slices.SortedFunc(maps.Values(count), func(a, b Made) int {
		return cmp.Or(cmp.Compare(b.Rules, a.Rules), cmp.Compare(a.String(), b.String()))
	})
}

// Made says what the rules and entries in all targets were made for, as far as they can be read.
func (e *Engine) Made(ctx context.Context) ([]Made, error) {
	found := make([][]secgroup.Holder, len(e.Targets))
	var running errgroup.Group
	running.SetLimit(targetsAtOnce)
	for i, t := range e.Targets {
		running.Go(func() error {
			tr := newTargetRun(t)
			err := e.discover(ctx, tr)
			found[i] = slices.Concat(tr.Groups, tr.lists)
			return errors.Join(err, tr.listsFailure())
		})
	}
	err := running.Wait()
	return MadeFrom(e.TagKey, slices.Concat(found...)), err
}

// Made says what the rules and entries that the proposal has seen were made for.
func (p *Proposal) Made() []Made {
	var holders []secgroup.Holder
	for _, v := range p.Previews {
		holders = append(holders, v.planned...)
	}
	return MadeFrom(p.TagKey, holders)
}
