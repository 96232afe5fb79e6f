package ec2sim

import (
	"encoding/xml"
	"maps"
	"slices"
	"strings"
)

// A kind is a kind of resource: how its IDs look, how errors speak of it, and how callers describe it.
type kind[T any] struct {
	prefix    string // of an ID, such as "sg-"
	malformed string // error code of an ID that does not begin with it
	notFound  string // error code of an ID that does not exist
	message   string // of that error, with a %s for the ID
	set       string // the element of an answer that holds the resources
	ids       string // the parameter that lists IDs
	// resourceType is the name in tag specifications, empty if tags are not supported.
	resourceType      string
	smallest, largest int  // MaxResults; zero for [minResults] and [maxResults]
	pagesOfIDs        bool // whether pages go with a list of IDs

	id      func(T) string
	tags    func(T) *Tags // nil if tags are not supported
	filters attributes[T]
}

// absent returns the error of an ID that names nothing.
func (k *kind[T]) absent(id string) error {
	if !strings.HasPrefix(id, k.prefix) {
		return errorf(k.malformed, "Invalid id: %q (expecting \"%s...\")", id, k.prefix)
	}
	return errorf(k.notFound, k.message, id)
}

// A table holds the resources of a kind by ID, and lists them in the order of their IDs.
type table[T any] struct {
	*kind[T]
	byID  map[string]T
	order []string // IDs, sorted
}

// tableOf returns a table of resources that are not kept in one.
func tableOf[T any](k *kind[T], resources []T) *table[T] {
	t := &table[T]{kind: k, byID: make(map[string]T, len(resources))}
	for _, v := range resources {
		t.byID[k.id(v)] = v
	}
	t.order = slices.Sorted(maps.Keys(t.byID))
	return t
}

func (t *table[T]) put(v T) {
	if t.byID == nil {
		t.byID = map[string]T{}
	}
	id := t.id(v)
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
func copies[T any](t *table[*T]) []T {
	list := make([]T, 0, len(t.order))
	for v := range t.all {
		list = append(list, *v)
	}
	return list
}

// describeInput is common to all calls that describe resources.
type describeInput struct {
	dryRun
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
	match, err := compileFilters(in.Filters, t.kind)
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
		if match(v) {
			found = append(found, v)
		}
	}
	return page(in.paging, found, t.kind)
}

// describe makes the action that describes the resources of a table, each in the form that x gives it.
func describe[T, X any](of func(*site) *table[T], x func(*site, T) X) action {
	return func(s *site, c *call) (any, error) {
		return ec2WithIDs(of(s).ids, func(s *site, _ *call, in describeInput) (*listing[X], error) {
			return list(s, of(s), in, x)
		})(s, c)
	}
}

// A listing is the answer of a call that describes resources: a part of them, and where the next part begins.
type listing[X any] struct {
	reply
	set, item string // the elements around them and around each
	items     []X
	next      string
	token     string // the element of next
}

// list describes resources of a table, each in the form that x gives it.
func list[T, X any](s *site, t *table[T], in describeInput, x func(*site, T) X) (*listing[X], error) {
	part, next, err := t.describe(in)
	if err != nil {
		return nil, err
	}
	out := &listing[X]{set: t.set, item: "item", next: next, token: "nextToken"}
	for _, v := range part {
		out.items = append(out.items, x(s, v))
	}
	return out, nil
}

func (l *listing[X]) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	items := make([]named, 0, len(l.items))
	for _, item := range l.items {
		items = append(items, named{l.item, item})
	}
	body := struct {
		RequestID *string `xml:"requestId"`
		Set       named
		Next      *named
	}{Set: named{l.set, struct{ Items []named }{items}}}
	if l.RequestID != "" {
		body.RequestID = &l.RequestID
	}
	if l.next != "" {
		body.Next = &named{l.token, l.next}
	}
	return e.EncodeElement(body, start)
}

// itself is the form of resources that are kept as they are described.
func itself[T any](_ *site, v T) T { return v }
