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

func (k *kind) refuse(id string) {
	if !strings.HasPrefix(id, k.prefix) {
		refuse(k.malformed+".Malformed", "Invalid id: %q (expecting \"%s...\")", id, k.prefix)
	}
	refuse(k.notFound+".NotFound", "The %s '%s' does not exist", k.noun, id)
}

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
func describe[T any](of func(*site) table[T]) action {
	return func(s *site, c *call) any {
		t := of(s)
		return ec2WithIDs(t.ids, func(s *site, _ *call, in describeInput) body {
			if len(in.IDs) > 0 && in.MaxResults != nil && !t.pages.ofIDs {
				refuse("InvalidParameterCombination", "The parameter %ss cannot be used with the parameter maxResults", t.ids)
			}
			match := compileFilters(in.Filters, reflect.TypeFor[T]())
			wanted := slices.Sorted(slices.Values(in.IDs))
			if len(wanted) == 0 {
				wanted = slices.Collect(maps.Keys(t.byID))
			}
			found := newTable[T](t.kind)
			for _, id := range wanted {
				if v := t.find(id); match(reflect.ValueOf(v).Elem()) {
					found.byID[id] = v
				}
			}
			return found.page(s, in.paging)
		})(s, c)
	}
}

// page answers with the asked part of a table. The token is the ID of the last resource given out: whatever has come or
// gone since, the next page goes on behind it. Without MaxResults, one page holds all.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
func (t table[T]) page(s *site, ask paging) body {
	ids := slices.Sorted(maps.Keys(t.byID))
	ids = slices.DeleteFunc(ids, func(id string) bool { return id <= ask.NextToken })
	n := len(ids)
	if ask.MaxResults != nil {
		n = *ask.MaxResults
		if n < t.pages.smallest || n > t.pages.largest {
			refuseInvalid("Value ( %d ) for parameter maxResults is invalid. Expecting a value between %d and %d.", n, t.pages.smallest, t.pages.largest)
		}
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
