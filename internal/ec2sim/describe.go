package ec2sim

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// A kind is a kind of resource: how its IDs look, how errors speak of it, and how callers describe it.
type kind struct {
	prefix    string // of an ID, such as "sg-"
	malformed string // the error code of an ID that does not begin with it, without its end
	notFound  string // the error code of an ID that does not exist, without its end
	noun      string // in that error
	set       string // the element of an answer that holds the resources
	ids       string // the parameter that lists IDs
	pages     pages
}

// The kinds of resources. The codes of their errors, and how these spell ID, are from
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
var (
	vpcKind       = kind{"vpc-", "InvalidVpcID", "InvalidVpcID", "vpc ID", "vpcSet", "VpcId", mostPages}
	subnetKind    = kind{"subnet-", "InvalidSubnetID", "InvalidSubnetID", "subnet ID", "subnetSet", "SubnetId", mostPages}
	exclusionKind = kind{
		"vpcbpa-exclude-", "InvalidVpcBlockPublicAccessExclusionId", "InvalidVpcBlockPublicAccessExclusionId",
		"exclusion ID", "vpcBlockPublicAccessExclusionSet", "ExclusionId", mostPages,
	}
	aclKind = kind{
		"acl-", "InvalidNetworkAclId", "InvalidNetworkAclID", "networkAcl ID", "networkAclSet", "NetworkAclId", mostPages,
	}
	routeTableKind = kind{
		"rtb-", "InvalidRouteTableId", "InvalidRouteTableID", "routeTable ID", "routeTableSet", "RouteTableId", mostPages,
	}
	groupKind     = kind{"sg-", "InvalidGroupId", "InvalidGroup", "security group", "securityGroupInfo", "GroupId", mostPages}
	interfaceKind = kind{
		"eni-", "InvalidNetworkInterfaceId", "InvalidNetworkInterfaceID",
		"networkInterface ID", "networkInterfaceSet", "NetworkInterfaceId", mostPages,
	}
	prefixListKind = kind{
		"pl-", "InvalidPrefixListId", "InvalidPrefixListID", "prefix list ID", "prefixListSet", "PrefixListId", listPages,
	}
	entryKind = kind{set: "entrySet", pages: listPages}
)

// pages are the limits of MaxResults of a describe action.
type pages struct {
	smallest, largest int
	ofIDs             bool // whether pages go with a list of IDs
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeManagedPrefixLists.html
var mostPages, listPages = pages{5, 1000, false}, pages{1, 100, true}

// refuse says that an ID does not exist.
func (k *kind) refuse(id string) {
	if !strings.HasPrefix(id, k.prefix) {
		refuse(k.malformed+".Malformed", "Invalid id: %q (expecting \"%s...\")", id, k.prefix)
	}
	refuse(k.notFound+".NotFound", "The %s '%s' does not exist", k.noun, id)
}

// A resource is what a table holds. The tags `filter:"…"` of its fields name the filters of its describe action, as far
// as they apply here; a field Tags holds its tags.
type resource interface {
	key() string
	form(*site) any // as it is described
}

// A table holds the resources of a kind by ID, and lists them in the order of their IDs.
type table[T resource] struct {
	*kind
	byID map[string]T
}

func newTable[T resource](k *kind) table[T] { return table[T]{k, map[string]T{}} }

func (t table[T]) put(v T) { t.byID[v.key()] = v }

func (t table[T]) all(yield func(T) bool) {
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		if !yield(t.byID[id]) {
			return
		}
	}
}

// first returns the first resource of which is reports true, the zero value if there is none.
func (t table[T]) first(is func(T) bool) (found T) {
	for v := range t.all {
		if is(v) {
			return v
		}
	}
	return found
}

// find returns the resource of an ID, and refuses one that does not exist.
func (t table[T]) find(id string) T {
	v, ok := t.byID[id]
	if !ok {
		t.refuse(id)
	}
	return v
}

type describeInput struct {
	paging
	Filters []filter `json:"Filter"`
	IDs     []string `json:"ID"` // see [decodeQuery]
}

type paging struct {
	MaxResults *int   `json:"MaxResults"`
	NextToken  string `json:"NextToken"`
}

// describe makes the action that describes the resources of a table.
func describe[T resource](of func(*site) table[T]) action {
	return func(s *site, c *call) any {
		t := of(s)
		return ec2WithIDs(t.ids, func(s *site, _ *call, in describeInput) body {
			if len(in.IDs) > 0 && in.MaxResults != nil && !t.pages.ofIDs {
				refuse("InvalidParameterCombination", "The parameter %ss cannot be used with the parameter maxResults", t.ids)
			}
			match := compileFilters(in.Filters, reflect.TypeFor[T]().Elem())
			wanted := slices.Sorted(slices.Values(in.IDs))
			if len(wanted) == 0 {
				wanted = slices.Sorted(maps.Keys(t.byID))
			}
			var found []T
			for _, id := range slices.Compact(wanted) {
				if v := t.find(id); match(reflect.ValueOf(v).Elem()) {
					found = append(found, v)
				}
			}
			return page(s, t.kind, in.paging, found)
		})(s, c)
	}
}

// page answers with the asked part of items, which are in the order of their keys. The token is the key of the last
// item given out: whatever has come or gone since, the next page goes on behind it. Without MaxResults all items are
// given at once.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
func page[T resource](s *site, k *kind, ask paging, items []T) body {
	items = slices.DeleteFunc(items, func(v T) bool { return v.key() <= ask.NextToken })
	n := len(items)
	if ask.MaxResults != nil {
		n = *ask.MaxResults
		if n < k.pages.smallest || n > k.pages.largest {
			refuseInvalid("Value ( %d ) for parameter maxResults is invalid. Expecting a value between %d and %d.", n, k.pages.smallest, k.pages.largest)
		}
	}
	var forms []any
	for _, v := range items[:min(n, len(items))] {
		forms = append(forms, v.form(s))
	}
	answer := body{{k.set, list("item", forms)}}
	if len(items) > n {
		answer = append(answer, element{"nextToken", items[n-1].key()})
	}
	return answer
}
