package ec2sim

import (
	"maps"
	"net/netip"
	"slices"
)

// A siteKey names a site.
type siteKey struct{ account, region string }

// A site is what one account has in one region. Its methods expect the
// server's lock to be held.
type site struct {
	server *Server
	siteKey

	quota       int // rules per security group
	vpcs        table[*VPC]
	subnets     table[*subnet]
	groups      table[*Group]
	interfaces  table[*Interface]
	prefixLists table[*PrefixList]
	attached    map[string]int // interfaces a security group is attached to
}

// site returns an account's resources in a region, opened at the first use
// with a default and one other VPC.
func (s *Server) site(account, region string) *site {
	key := siteKey{account, region}
	if st := s.sites[key]; st != nil {
		return st
	}
	st := &site{server: s, siteKey: key, quota: s.rulesPerGroup, attached: map[string]int{}}
	s.sites[key] = st
	defer func(before []string) { s.touched = before }(s.touched) // no call made these
	st.addVPC(netip.MustParsePrefix("172.31.0.0/16"), true)
	st.addVPC(netip.MustParsePrefix("10.0.0.0/16"), false)
	st.addManagedPrefixLists()
	return st
}

// A table holds resources by id, and lists them in the order of their ids.
type table[T any] struct {
	byID map[string]T
	ids  []string // sorted
}

func (t *table[T]) put(id string, v T) {
	if t.byID == nil {
		t.byID = map[string]T{}
	}
	if _, known := t.byID[id]; !known {
		i, _ := slices.BinarySearch(t.ids, id)
		t.ids = slices.Insert(t.ids, i, id)
	}
	t.byID[id] = v
}

func (t *table[T]) drop(id string) {
	if i, known := slices.BinarySearch(t.ids, id); known {
		t.ids = slices.Delete(t.ids, i, i+1)
		delete(t.byID, id)
	}
}

// all returns what the table holds and match accepts.
func (t *table[T]) all(match func(T) bool) []T {
	var found []T
	for _, id := range t.ids {
		if v := t.byID[id]; match(v) {
			found = append(found, v)
		}
	}
	return found
}

// selectByID returns the resources a caller named, or all of them if it named
// none, reduced to those that match. lookup refuses an id that does not exist.
func selectByID[T any](t *table[T], ids []string, match func(T) bool, lookup func(string) (T, error)) ([]T, error) {
	if len(ids) == 0 {
		return t.all(match), nil
	}
	wanted := slices.Clone(ids)
	slices.Sort(wanted)
	var found []T
	for _, id := range slices.Compact(wanted) {
		v, err := lookup(id)
		if err != nil {
			return nil, err
		}
		if match(v) {
			found = append(found, v)
		}
	}
	return found, nil
}

// merged returns a map that holds both; where they differ, over wins.
func merged(base, over map[string]string) map[string]string {
	m := make(map[string]string, len(base)+len(over))
	maps.Copy(m, base)
	maps.Copy(m, over)
	return m
}
