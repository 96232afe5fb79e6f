package ec2sim

import (
	"encoding/xml"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Tags are the tags of a resource.
type Tags map[string]string

// MarshalXML writes tags in the order of their keys.
func (t Tags) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	var set struct {
		Items []tag `xml:"item"`
	}
	for _, key := range slices.Sorted(maps.Keys(t)) {
		value := t[key]
		set.Items = append(set.Items, tag{key, &value})
	}
	return e.EncodeElement(set, start)
}

// A tag is a tag in a request or an answer. The value is nil only in a request that leaves it out.
type tag struct {
	Key   string  `query:"Key" xml:"key"`
	Value *string `query:"Value" xml:"value"`
}

// maxTags is how many tags a resource may have.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
const maxTags = 50

// parseTags reads the tags of a request. A tag without a value has an empty one.
func parseTags(list []tag) (Tags, error) {
	tags := make(Tags, len(list))
	for _, t := range list {
		if _, twice := tags[t.Key]; twice {
			return nil, errorf("InvalidParameterValue", "Duplicate tag key '%s' specified.", t.Key)
		}
		tags[t.Key] = ""
		if t.Value != nil {
			tags[t.Key] = *t.Value
		}
	}
	return tags, tags.check()
}

// check refuses tags that no resource may have.
func (t Tags) check() error {
	for key, value := range t {
		switch {
		case key == "" || utf8.RuneCountInString(key) > 128:
			return errorf("InvalidParameterValue", "Tag key must have between 1 and 128 characters: %q", key)
		case utf8.RuneCountInString(value) > 256:
			return errorf("InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters")
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return errorf("InvalidParameterValue", "Value ( %s ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use", key)
		}
	}
	if len(t) > maxTags {
		return tooManyTags()
	}
	return nil
}

func tooManyTags() error {
	return errorf("TagLimitExceeded", "The maximum number of tags for a resource has been reached.")
}

// tagSpecs are the tags to give what a request creates.
type tagSpecs []struct {
	Type string `query:"ResourceType"`
	Tags []tag  `query:"Tag"`
}

// tagsFor returns the tags, all of which must be for the given type of resource.
func (specs tagSpecs) tagsFor(resourceType string) (Tags, error) {
	var list []tag
	for _, spec := range specs {
		if spec.Type != resourceType {
			return nil, errorf("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", spec.Type)
		}
		list = append(list, spec.Tags...)
	}
	return parseTags(list)
}

// A taggedTable is a table of resources that may have tags.
type taggedTable interface {
	// tagsAt returns the tags of the resource of an ID, if the ID is of the table's kind.
	tagsAt(id string) (tags *Tags, mine bool, err error)
	listTags() []tagXML
}

func (s *site) taggedTables() []taggedTable {
	return []taggedTable{&s.vpcs, &s.subnets, &s.groups, &s.interfaces, &s.prefixLists, &s.acls, &s.routeTables, &s.gateways, &s.exclusions}
}

func (t *table[T]) tagsAt(id string) (tags *Tags, mine bool, err error) {
	if !strings.HasPrefix(id, t.prefix) {
		return nil, false, nil
	}
	v, err := t.find(id)
	if err != nil {
		return nil, true, err
	}
	return t.tags(v), true, nil
}

// tagsOf returns the tags of a resource that the account may tag.
func (s *site) tagsOf(id string) (*Tags, error) {
	if strings.HasPrefix(id, prefixListKind.prefix) {
		if _, err := s.ownList(id); err != nil {
			return nil, err
		}
	}
	for _, t := range s.taggedTables() {
		if tags, mine, err := t.tagsAt(id); mine {
			return tags, err
		}
	}
	return nil, errorf("InvalidID", "The ID '%s' is not valid", id)
}

type tagsInput struct {
	dryRun
	Resources []string `query:"ResourceId"`
	Tags      []tag    `query:"Tag"`
}

// createTags adds tags to all resources or, where one does not exist or has too many, to none.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html
func (s *site) createTags(_ *call, in tagsInput) (*done, error) {
	add, err := parseTags(in.Tags)
	switch {
	case err != nil:
		return nil, err
	case len(in.Resources) == 0:
		return nil, missing("resourceIdSet")
	case len(add) == 0:
		return nil, missing("tagSet")
	}
	return s.retag(in.Resources, func(tags Tags) Tags { return merged(tags, add) })
}

// deleteTags removes the tags whose key, and value where one is given, match. Without any tag, all are removed.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
func (s *site) deleteTags(_ *call, in tagsInput) (*done, error) {
	if len(in.Resources) == 0 {
		return nil, missing("resourceIdSet")
	}
	return s.retag(in.Resources, func(tags Tags) Tags {
		rest := maps.Clone(tags)
		if len(in.Tags) == 0 {
			clear(rest)
		}
		for _, t := range in.Tags {
			if t.Value == nil || rest[t.Key] == *t.Value {
				delete(rest, t.Key)
			}
		}
		return rest
	})
}

// retag replaces the tags of all resources, if it can.
func (s *site) retag(ids []string, change func(Tags) Tags) (*done, error) {
	var apply []func()
	for _, id := range ids {
		tags, err := s.tagsOf(id)
		if err != nil {
			return nil, err
		}
		next := change(*tags)
		if len(next) > maxTags {
			return nil, tooManyTags()
		}
		apply = append(apply, func() {
			*tags = next
			s.touch(id)
		})
	}
	for _, f := range apply {
		f()
	}
	return &done{Return: true}, nil
}

type tagXML struct {
	Resource string `xml:"resourceId"`
	Type     string `xml:"resourceType"`
	Key      string `xml:"key"`
	Value    string `xml:"value"`
}

// tagKind has the filters of DescribeTags. A resource has a key once.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeTags.html
var tagKind = kind[tagXML]{
	set:  "tagSet",
	id:   func(t tagXML) string { return t.Resource + "\x00" + t.Key },
	tags: func(t tagXML) *Tags { return &Tags{t.Key: t.Value} },
	filters: attributes[tagXML]{
		"key":           func(t tagXML) []string { return []string{t.Key} },
		"resource-id":   func(t tagXML) []string { return []string{t.Resource} },
		"resource-type": func(t tagXML) []string { return []string{t.Type} },
		"value":         func(t tagXML) []string { return []string{t.Value} },
	},
}

// tags returns the tags of all resources.
func (s *site) tags() *table[tagXML] {
	var all []tagXML
	for _, t := range s.taggedTables() {
		all = append(all, t.listTags()...)
	}
	return tableOf(&tagKind, all)
}

// listTags returns the tags of all resources of a table.
func (t *table[T]) listTags() (list []tagXML) {
	for v := range t.all {
		for key, value := range *t.tags(v) {
			list = append(list, tagXML{t.id(v), t.resourceType, key, value})
		}
	}
	return list
}
