package ec2sim

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// A kind is a kind of resource: how errors speak of it, and how callers describe it.
type kind struct {
	unknown string // the error code of an ID that does not exist, without its end
	set     string // the element of an answer that holds the resources
	ids     string // the parameter that lists IDs
	most    int    // resources of a page
}

// The kinds of resources. The codes of their errors, and how these spell ID, are from
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
var (
	vpcKind        = kind{"InvalidVpcID", "vpcSet", "VpcId", 1000}
	subnetKind     = kind{"InvalidSubnetID", "subnetSet", "SubnetId", 1000}
	exclusionKind  = kind{"InvalidVpcBlockPublicAccessExclusionId", "vpcBlockPublicAccessExclusionSet", "ExclusionId", 1000}
	aclKind        = kind{"InvalidNetworkAclID", "networkAclSet", "NetworkAclId", 1000}
	routeTableKind = kind{"InvalidRouteTableID", "routeTableSet", "RouteTableId", 1000}
	groupKind      = kind{"InvalidGroup", "securityGroupInfo", "GroupId", 1000}
	interfaceKind  = kind{"InvalidNetworkInterfaceID", "networkInterfaceSet", "NetworkInterfaceId", 1000}
	prefixListKind = kind{"InvalidPrefixListID", "prefixListSet", "PrefixListId", 100}
	entryKind      = kind{set: "entrySet", most: 100}
)

func (k *kind) refuse(id string) { refuse(k.unknown+".NotFound", "The ID '%s' does not exist", id) }

// A table holds the resources of a kind by ID, and lists them in the order of their IDs. The tags `filter:"…"` of their
// fields name the filters of the describe action, as far as they apply here; a field Tags holds their tags.
type table[T any] struct {
	*kind
	byID map[string]*T
}

func newTable[T any](k *kind) table[T] { return table[T]{k, map[string]*T{}} }

func (t table[T]) all(yield func(*T) bool) {
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		if !yield(t.byID[id]) {
			return
		}
	}
}

func (t table[T]) first(is func(*T) bool) *T {
	for v := range t.all {
		if is(v) {
			return v
		}
	}
	return nil
}

// find returns the resource of an ID, and refuses one that does not exist.
func (t table[T]) find(id string) *T {
	v := t.byID[id]
	if v == nil {
		t.refuse(id)
	}
	return v
}

func (t table[T]) copies() []T {
	values := make([]T, 0, len(t.byID))
	for v := range t.all {
		values = append(values, *v)
	}
	return values
}

// frozen returns a table whose resources no later call changes.
func (t table[T]) frozen() table[T] {
	was := newTable[T](t.kind)
	for id, v := range t.byID {
		c := *v
		was.byID[id] = &c
	}
	return was
}

type paging struct {
	MaxResults *int   `json:"MaxResults"`
	NextToken  string `json:"NextToken"`
}

// describe makes the action that describes the resources of a table.
func describe[T any](of func(*site) table[T]) action {
	return func(s *site, c *call) any {
		t, found := of(s), newTable[T](of(s).kind)
		var wanted []string
		take(c.params, t.ids, reflect.ValueOf(&wanted).Elem())
		var in struct {
			paging
			Filters []filter `json:"Filter"`
		}
		decodeQuery(c.params, &in)
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeManagedPrefixLists.html
		if len(wanted) > 0 && in.MaxResults != nil && t.kind != &prefixListKind {
			refuse("InvalidParameterCombination", "The parameter %ss cannot be used with the parameter maxResults", t.ids)
		}
		if len(wanted) == 0 {
			wanted = slices.Collect(maps.Keys(t.byID))
		}
		for _, id := range wanted {
			found.byID[id] = t.find(id)
		}
		found.keep(in.Filters)
		return found.page(s, in.paging)
	}
}

// page answers with the asked part of a table. The token is the ID of the last resource given out: whatever has come or
// gone since, the next page goes on behind it. Without MaxResults, one page holds all.
func (t table[T]) page(s *site, ask paging) body {
	ids := slices.Sorted(maps.Keys(t.byID))
	ids = slices.DeleteFunc(ids, func(id string) bool { return id <= ask.NextToken })
	n := *cmp.Or(ask.MaxResults, new(len(ids)))
	if ask.MaxResults != nil && (n < 1 || n > t.most) {
		refuseInvalid("Value ( %d ) for parameter maxResults is invalid. It may be at most %d.", n, t.most)
	}
	var forms []any
	for _, id := range ids[:min(n, len(ids))] {
		var form any = t.byID[id]
		if v, ok := form.(described); ok {
			form = v.form(s)
		}
		forms = append(forms, form)
	}
	answer := body{{t.set, list("item", forms)}}
	if len(ids) > n {
		answer = append(answer, element{"nextToken", ids[n-1]})
	}
	return answer
}

// A described resource is not kept in the form in which it is described.
type described interface{ form(*site) any }

// A filter is a condition on a resource: one of its values matches one of the filter's.
type filter struct {
	Name   string   `json:"Name"`
	Values []string `json:"Value"`
}

// keep removes the resources that do not match all filters.
// See https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
// and https://github.com/gjbae1212/gossm/issues/31 (the limit is for all filters together)
func (t table[T]) keep(filters []filter) {
	const maxFilterValues = 200
	var given int
	for _, f := range filters {
		if given += len(f.Values); given > maxFilterValues {
			refuse("FilterLimitExceeded", "The maximum number of filter values specified on a single call is %d", maxFilterValues)
		}
		values, match := attribute(reflect.TypeFor[T](), f.Name), anyOf(f.Values).MatchString
		if values == nil || len(f.Values) == 0 {
			refuseInvalid("The filter '%s' is invalid", f.Name)
		}
		maps.DeleteFunc(t.byID, func(_ string, v *T) bool {
			return !slices.ContainsFunc(values(reflect.ValueOf(v).Elem()), match)
		})
	}
}

// attribute returns a function from a resource to the values that a filter matches, nil if there is no such filter. The
// tag `filter:"…"` of a field names its filters. Every resource has the filters tag:KEY and tag-key.
func attribute(t reflect.Type, name string) func(reflect.Value) []string {
	for _, f := range reflect.VisibleFields(t) {
		if slices.Contains(strings.Split(f.Tag.Get("filter"), ","), name) {
			return func(v reflect.Value) []string { return texts(v.FieldByIndex(f.Index)) }
		}
	}
	key, one := strings.CutPrefix(name, "tag:")
	if !one && name != "tag-key" {
		return nil
	}
	return func(v reflect.Value) (values []string) {
		for k, value := range v.FieldByName("Tags").Interface().(Tags) {
			if !one {
				values = append(values, k)
			} else if k == key {
				values = append(values, value)
			}
		}
		return values
	}
}

// texts returns a field as filters see it: nothing for the zero value, except that false is false, and of rules the
// groups and lists that they refer to.
func texts(v reflect.Value) (list []string) {
	switch values := v.Interface().(type) {
	case []string:
		return values
	case []Rule:
		for _, r := range values {
			list = append(list, r.Source.Reference)
		}
		return list
	}
	if v.IsZero() && v.Kind() != reflect.Bool {
		return nil
	}
	return []string{fmt.Sprint(v.Interface())}
}

// anyOf matches what one of the patterns does. An asterisk stands for zero or more characters, a question mark for zero
// or one.
func anyOf(patterns []string) *regexp.Regexp {
	var all []string
	for _, p := range patterns {
		all = append(all, strings.NewReplacer(`\*`, `.*`, `\?`, `.?`).Replace(regexp.QuoteMeta(p)))
	}
	return regexp.MustCompile(`(?s)\A(?:` + strings.Join(all, "|") + `)\z`)
}
