package ec2sim

import (
	"encoding/xml"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// Tags are the tags of a resource.
type Tags map[string]string

// MarshalXML writes tags in the order of their keys.
func (t Tags) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	var tags []tag
	for _, key := range slices.Sorted(maps.Keys(t)) {
		value := t[key]
		tags = append(tags, tag{key, &value})
	}
	return e.EncodeElement(list("item", tags), start)
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
func parseTags(given []tag) (Tags, error) {
	tags := make(Tags, len(given))
	for _, t := range given {
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
		return errorf("TagLimitExceeded", "The maximum number of tags for a resource has been reached.")
	}
	return nil
}

// tagSpecs are the tags to give what a request creates.
type tagSpecs []struct {
	Type string `query:"ResourceType"`
	Tags []tag  `query:"Tag"`
}

// tagsFor returns the tags, and refuses those for another kind of resource.
func (specs tagSpecs) tagsFor(k kind) (Tags, error) {
	var given []tag
	for _, spec := range specs {
		if spec.Type != k.taggable {
			return nil, errorf("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", spec.Type)
		}
		given = append(given, spec.Tags...)
	}
	return parseTags(given)
}

// tagsAt returns the tags of the resource of an ID, if the ID is of the table's kind.
func (t *table[T]) tagsAt(id string) (tags *Tags, mine bool, err error) {
	if !strings.HasPrefix(id, t.prefix) {
		return nil, false, nil
	}
	v, err := t.find(id)
	if err != nil {
		return nil, true, err
	}
	return reflect.ValueOf(v).Elem().FieldByName("Tags").Addr().Interface().(*Tags), true, nil
}

// tagsOf returns the tags of a resource that the account may tag.
func (s *site) tagsOf(id string) (*Tags, error) {
	if strings.HasPrefix(id, prefixListKind.prefix) {
		if _, err := s.ownList(id); err != nil {
			return nil, err
		}
	}
	for _, at := range []func(id string) (*Tags, bool, error){
		s.vpcs.tagsAt, s.subnets.tagsAt, s.groups.tagsAt, s.interfaces.tagsAt, s.prefixLists.tagsAt, s.acls.tagsAt, s.routeTables.tagsAt, s.exclusions.tagsAt,
	} {
		if tags, mine, err := at(id); mine {
			return tags, err
		}
	}
	return nil, errorf("InvalidID", "The ID '%s' is not valid", id)
}

type tagsInput struct {
	Resources []string `query:"ResourceId"`
	Tags      []tag    `query:"Tag"`
}

// createTags adds tags to all resources or, where one does not exist or has too many, to none.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html
func (s *site) createTags(_ *call, in tagsInput) (body, error) {
	add, err := parseTags(in.Tags)
	switch {
	case err != nil:
		return nil, err
	case len(add) == 0:
		return nil, missing("tagSet")
	}
	return s.retag(in.Resources, func(tags Tags) { maps.Copy(tags, add) })
}

// deleteTags removes the tags whose key, and value where one is given, match. Without any tag, all are removed.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
func (s *site) deleteTags(_ *call, in tagsInput) (body, error) {
	return s.retag(in.Resources, func(tags Tags) {
		if len(in.Tags) == 0 {
			clear(tags)
		}
		for _, t := range in.Tags {
			if t.Value == nil || tags[t.Key] == *t.Value {
				delete(tags, t.Key)
			}
		}
	})
}

// retag replaces the tags of all resources by changed copies, if it can.
func (s *site) retag(ids []string, change func(Tags)) (body, error) {
	if len(ids) == 0 {
		return nil, missing("resourceIdSet")
	}
	var apply []func()
	for _, id := range ids {
		tags, err := s.tagsOf(id)
		if err != nil {
			return nil, err
		}
		next := merged(*tags, nil)
		change(next)
		if err := next.check(); err != nil {
			return nil, err
		}
		apply = append(apply, func() {
			*tags = next
			s.touch(id)
		})
	}
	for _, f := range apply {
		f()
	}
	return done, nil
}
