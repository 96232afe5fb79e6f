package status

import (
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// A PartialPool says where groups of a pool are missing.
type PartialPool struct {
	Pool       string
	Interfaces []string // by ID
	Missing    []secgroup.Group
}

// partialPools returns where groups of a pool are not attached along with the others.
func partialPools(subjects []door.Subject, pools []secgroup.PoolPlan) []PartialPool {
	var partial []PartialPool
	for _, pool := range pools {
		for _, s := range subjects {
			var missing []secgroup.Group
			some := false
			for _, g := range pool.Groups {
				switch {
				case slices.ContainsFunc(s.Groups, func(at secgroup.Group) bool { return at.ID == g.Group.ID }):
					some = true
				case len(g.Settings.Ports) > 0:
					missing = append(missing, *g.Group)
				}
			}
			if !some || len(missing) == 0 {
				continue
			}
			i := slices.IndexFunc(partial, func(p PartialPool) bool {
				return p.Pool == pool.Name && slices.EqualFunc(p.Missing, missing, func(a, b secgroup.Group) bool { return a.ID == b.ID })
			})
			if i < 0 {
				i = len(partial)
				partial = append(partial, PartialPool{Pool: pool.Name, Missing: missing})
			}
			partial[i].Interfaces = append(partial[i].Interfaces, s.Interface.ID)
		}
	}
	return partial
}

func (p PartialPool) String() string {
	var missing []string
	for _, g := range p.Missing {
		missing = append(missing, strings.TrimSpace(g.ID+" "+g.Name))
	}
	has, it := "has", "it"
	if len(p.Interfaces) > 1 {
		has, it = "have", "them"
	}
	return fmt.Sprintf("%s %s only part of pool %s, and part of CloudFront may be shut out there: attach %s to %s", words.Few(p.Interfaces), has, p.Pool, strings.Join(missing, ", "), it)
}
