package ec2sim

import (
	"encoding/xml"
	"maps"
	"slices"
	"strings"
)

// A kind is a kind of resource: what its IDs look like, what the errors about them are, and how a caller has it
// described.
type kind[T any] struct {
	prefix    string // of an ID, such as "sg-"
	malformed string // error code of an ID that does not begin with it
	notFound  string // error code of an ID that does not exist
	message   string // of that error, with a %s for the ID
	// parameter is the list of IDs in a describe call, as messages spell it. It excludes pages, unless it is empty.
	parameter         string
	resourceType      string // in tag specifications, empty for what cannot be tagged
	smallest, largest int    // MaxResults; zero for [minResults] and [maxResults]

	id      func(T) string
	tags    func(T) map[string]string // nil for what cannot be tagged
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
	byID map[string]T
	ids  []string // sorted
}

// tableOf returns a table of resources that are not kept in one.
func tableOf[T any](k *kind[T], resources []T) *table[T] {
	t := &table[T]{kind: k, byID: make(map[string]T, len(resources))}
	for _, v := range resources {
		t.byID[k.id(v)] = v
	}
	t.ids = slices.Sorted(maps.Keys(t.byID))
	return t
}

func (t *table[T]) put(v T) {
	if t.byID == nil {
		t.byID = map[string]T{}
	}
	id := t.id(v)
	if i, known := slices.BinarySearch(t.ids, id); !known {
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

// all yields what the table holds, in the order of the IDs.
func (t *table[T]) all(yield func(T) bool) {
	for _, id := range t.ids {
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

// describeInput is what calls that describe resources have in common.
type describeInput struct {
	dryRun
	paging
	Filters []filter `query:"Filter"`
}

// describe returns the resources a caller named, or all of them if it named none, reduced to those that match its
// filters and to the page it asked for.
func (t *table[T]) describe(in describeInput, ids []string) (part []T, next string, err error) {
	if t.parameter != "" {
		if err := in.alone(ids, t.parameter); err != nil {
			return nil, "", err
		}
	}
	match, err := compileFilters(in.Filters, t.kind)
	if err != nil {
		return nil, "", err
	}
	wanted := t.ids
	if len(ids) > 0 {
		wanted = slices.Compact(slices.Sorted(slices.Values(ids)))
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

// A listing is the answer of a call that describes resources: a part of them, and where the next part begins.
type listing[X any] struct {
	reply
	set   string // the element that they are in
	items []X
	next  string
}

// list describes resources of a table as [table.describe] does, each in the form that x gives it.
func list[T, X any](set string, t *table[T], in describeInput, ids []string, x func(T) X) (*listing[X], error) {
	part, next, err := t.describe(in, ids)
	if err != nil {
		return nil, err
	}
	out := &listing[X]{set: set, next: next}
	for _, v := range part {
		out.items = append(out.items, x(v))
	}
	return out, nil
}

func (l *listing[X]) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	type items struct {
		Items []X `xml:"item"`
	}
	return e.EncodeElement(struct {
		reply
		Set  named
		Next string `xml:"nextToken,omitempty"`
	}{l.reply, named{l.set, items{l.items}}, l.next}, start)
}

// itself is the form of what is kept as it is described.
func itself[T any](v T) T { return v }
