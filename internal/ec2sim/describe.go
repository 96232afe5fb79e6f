package ec2sim

import (
	"cmp"
	"encoding/base64"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// A kind is a kind of resource: how its IDs look, how errors speak of it, and how callers describe it.
type kind struct {
	prefix    string // of an ID, such as "sg-"
	malformed string // error code of an ID that does not begin with it
	notFound  string // error code of an ID that does not exist
	message   string // of that error, with a %s for the ID
	set       string // the element of an answer that holds the resources
	ids       string // the parameter that lists IDs
	// taggable is the name in tag specifications, empty if what is created here cannot be tagged.
	taggable          string
	smallest, largest int  // MaxResults; zero for [minResults] and [maxResults]
	pagesOfIDs        bool // whether pages go with a list of IDs
}

// The kinds of resources of EC2. The codes of their errors, and how these spell ID, are from
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
var (
	vpcKind = kind{
		prefix: "vpc-", malformed: "InvalidVpcID.Malformed", notFound: "InvalidVpcID.NotFound", message: "The vpc ID '%s' does not exist",
		set: "vpcSet", ids: "VpcId",
	}
	subnetKind = kind{
		prefix: "subnet-", malformed: "InvalidSubnetID.Malformed", notFound: "InvalidSubnetID.NotFound", message: "The subnet ID '%s' does not exist",
		set: "subnetSet", ids: "SubnetId",
	}
	aclKind = kind{
		prefix: "acl-", malformed: "InvalidNetworkAclId.Malformed", notFound: "InvalidNetworkAclID.NotFound", message: "The networkAcl ID '%s' does not exist",
		set: "networkAclSet", ids: "NetworkAclId",
	}
	routeTableKind = kind{
		prefix: "rtb-", malformed: "InvalidRouteTableId.Malformed", notFound: "InvalidRouteTableID.NotFound", message: "The routeTable ID '%s' does not exist",
		set: "routeTableSet", ids: "RouteTableId",
	}
	exclusionKind = kind{
		prefix: "vpcbpa-exclude-", malformed: "InvalidVpcBlockPublicAccessExclusionId.Malformed",
		notFound: "InvalidVpcBlockPublicAccessExclusionId.NotFound", message: "The exclusion ID '%s' does not exist",
		set: "vpcBlockPublicAccessExclusionSet", ids: "ExclusionId",
	}
	groupKind = kind{
		prefix: "sg-", malformed: "InvalidGroupId.Malformed", notFound: "InvalidGroup.NotFound", message: "The security group '%s' does not exist",
		set: "securityGroupInfo", ids: "GroupId", taggable: "security-group",
	}
	interfaceKind = kind{
		prefix: "eni-", malformed: "InvalidNetworkInterfaceId.Malformed", notFound: "InvalidNetworkInterfaceID.NotFound", message: "The networkInterface ID '%s' does not exist",
		set: "networkInterfaceSet", ids: "NetworkInterfaceId",
	}
	prefixListKind = kind{
		prefix: "pl-", malformed: "InvalidPrefixListId.Malformed", notFound: "InvalidPrefixListID.NotFound", message: "The prefix list ID '%s' does not exist",
		set: "prefixListSet", ids: "PrefixListId", taggable: "prefix-list", smallest: 1, largest: 100, pagesOfIDs: true,
	}
	entryKind       = kind{set: "entrySet", smallest: 1, largest: 100}
	associationKind = kind{set: "prefixListAssociationSet", largest: 255}
)

// absent returns the error of an ID that names nothing.
func (k *kind) absent(id string) error {
	if !strings.HasPrefix(id, k.prefix) {
		return errorf(k.malformed, "Invalid id: %q (expecting \"%s...\")", id, k.prefix)
	}
	return errorf(k.notFound, k.message, id)
}

// A resource is what a table holds. The tags `filter:"…"` of its fields name the filters of its describe action, as far
// as they apply here; a field Tags holds its tags.
type resource interface{ key() string }

// A table holds the resources of a kind by ID, and lists them in the order of their IDs.
type table[T resource] struct {
	*kind
	byID  map[string]T
	order []string // IDs, sorted
}

// tableOf returns a table of resources that are not kept in one.
func tableOf[T resource](k *kind, resources []T) *table[T] {
	t := &table[T]{kind: k, byID: make(map[string]T, len(resources))}
	for _, v := range resources {
		t.byID[v.key()] = v
	}
	t.order = slices.Sorted(maps.Keys(t.byID))
	return t
}

func (t *table[T]) put(v T) {
	if t.byID == nil {
		t.byID = map[string]T{}
	}
	id := v.key()
	if i, known := slices.BinarySearch(t.order, id); !known {
		t.order = slices.Insert(t.order, i, id)
	}
	t.byID[id] = v
}

func (t *table[T]) drop(id string) {
	if i, known := slices.BinarySearch(t.order, id); known {
		t.order = slices.Delete(t.order, i, i+1)
		delete(t.byID, id)
	}
}

// all yields the resources, in the order of their IDs.
func (t *table[T]) all(yield func(T) bool) {
	for _, id := range t.order {
		if !yield(t.byID[id]) {
			return
		}
	}
}

// find returns the resource of an ID.
func (t *table[T]) find(id string) (T, error) {
	v, ok := t.byID[id]
	if !ok {
		return v, t.absent(id)
	}
	return v, nil
}

// copies returns the resources as values.
func copies[T any, P interface {
	*T
	resource
}](t *table[P],
) []T {
	values := make([]T, 0, len(t.order))
	for v := range t.all {
		values = append(values, *v)
	}
	return values
}

// describeInput is common to all calls that describe resources.
type describeInput struct {
	paging
	Filters []filter `query:"Filter"`
	IDs     []string `query:"*"` // see [decodeQuery]
}

// describe returns the resources a caller named, or all of them if it named none, reduced to those that match its
// filters and to the page it asked for.
func (t *table[T]) describe(in describeInput) (part []T, next string, err error) {
	if len(in.IDs) > 0 && in.MaxResults != nil && !t.pagesOfIDs {
		return nil, "", errorf("InvalidParameterCombination", "The parameter %ss cannot be used with the parameter maxResults", t.ids)
	}
	match, err := compileFilters(in.Filters, reflect.TypeFor[T]())
	if err != nil {
		return nil, "", err
	}
	wanted := t.order
	if len(in.IDs) > 0 {
		wanted = slices.Compact(slices.Sorted(slices.Values(in.IDs)))
	}
	var found []T
	for _, id := range wanted {
		v, err := t.find(id)
		if err != nil {
			return nil, "", err
		}
		if match(reflect.ValueOf(v)) {
			found = append(found, v)
		}
	}
	return t.page(in.paging, found)
}

// paging is how a caller asks for a part of a list.
type paging struct {
	MaxResults *int   `query:"MaxResults"`
	NextToken  string `query:"NextToken"`
}

// Limits of MaxResults.
const minResults, maxResults = 5, 1000

// page cuts the asked part out of items, which are in the order of their IDs. The token carries the ID of the last item
// given out: whatever has come or gone since, the next page goes on behind it.
//
// Without MaxResults all items are given at once.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
func (t *table[T]) page(p paging, items []T) (part []T, next string, err error) {
	after, err := base64.RawURLEncoding.DecodeString(p.NextToken)
	if err != nil {
		return nil, "", errorf("InvalidPaginationToken", "The specified pagination token is not valid")
	}
	items = slices.DeleteFunc(items, func(v T) bool { return v.key() <= string(after) })
	if p.MaxResults == nil {
		return items, "", nil
	}
	n, smallest, largest := *p.MaxResults, cmp.Or(t.smallest, minResults), cmp.Or(t.largest, maxResults)
	if n < smallest || n > largest {
		return nil, "", errorf("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value between %d and %d.", n, smallest, largest)
	}
	if len(items) <= n {
		return items, "", nil
	}
	return items[:n], base64.RawURLEncoding.EncodeToString([]byte(items[n-1].key())), nil
}

// describe makes the action that describes the resources of a table, each in the form that x gives it.
func describe[T resource, X any](of func(*site) *table[T], x func(*site, T) X) action {
	return func(s *site, c *call) (any, error) {
		return ec2WithIDs(of(s).ids, func(s *site, _ *call, in describeInput) (body, error) {
			return answer(s, of(s), in, "item", "nextToken", x)
		})(s, c)
	}
}

// answer describes resources of a table, each as an item in the form that x gives it. The element more tells where the
// next page begins.
func answer[T resource, X any](s *site, t *table[T], in describeInput, item, more string, x func(*site, T) X) (body, error) {
	part, next, err := t.describe(in)
	if err != nil {
		return nil, err
	}
	forms := make([]X, 0, len(part))
	for _, v := range part {
		forms = append(forms, x(s, v))
	}
	out := body{{t.set, list(item, forms)}}
	if next != "" {
		out = append(out, element{more, next})
	}
	return out, nil
}

// itself is the form of resources that are kept as they are described.
func itself[T any](_ *site, v T) T { return v }
