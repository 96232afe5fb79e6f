package ec2sim

import (
	"cmp"
	"encoding/xml"
	"maps"
	"slices"
	"strings"
)

// Tags are the tags of a resource.
type Tags map[string]string

// MarshalXML writes tags in the order of their keys.
func (t Tags) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return e.EncodeElement(t.pairs("item", "key", "value"), start)
}

// pairs lists tags, or attributes, as a service names its elements.
func (t Tags) pairs(item, key, value string) body {
	var all []body
	for _, k := range slices.Sorted(maps.Keys(t)) {
		all = append(all, body{{key, k}, {value, t[k]}})
	}
	return list(item, all)
}

// A tag is a tag in a request. The value is nil where the request leaves it out.
type tag struct {
	Key   string  `json:"Key"`
	Value *string `json:"Value"`
}

// parseTags reads the tags of a request. A tag without a value has an empty one.
func parseTags(given []tag) Tags {
	tags := make(Tags, len(given))
	for _, t := range given {
		if _, twice := tags[t.Key]; twice {
			refuseInvalid("Duplicate tag key '%s' specified.", t.Key)
		}
		tags[t.Key] = *cmp.Or(t.Value, new(string))
	}
	tags.check()
	return tags
}

// check refuses tags that no resource may have.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
func (t Tags) check() {
	for key := range t {
		if key == "" || strings.HasPrefix(strings.ToLower(key), "aws:") {
			refuseInvalid("Value ( %s ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use", key)
		}
	}
	if len(t) > 50 {
		refuse("TagLimitExceeded", "The maximum number of tags for a resource has been reached.")
	}
}

type tagSpecs []struct {
	Type string `json:"ResourceType"`
	Tags []tag  `json:"Tag"`
}

func (specs tagSpecs) tagsFor(resourceType string) Tags {
	var given []tag
	for _, spec := range specs {
		if spec.Type != resourceType {
			refuseInvalid("'%s' is not a valid taggable resource type for this operation.", spec.Type)
		}
		given = append(given, spec.Tags...)
	}
	return parseTags(given)
}

// tagsOf returns the tags of a resource that the account may tag.
func (s *site) tagsOf(id string) *Tags {
	switch kind, _, _ := strings.Cut(id, "-"); kind {
	case "sg":
		return &s.groups.find(id).Tags
	case "eni":
		return &s.interfaces.find(id).Tags
	case "pl":
		return &s.ownList(id).Tags
	}
	refuse("InvalidID", "The ID '%s' is not valid", id)
	return nil
}

type tagsInput struct {
	Resources []string `json:"ResourceId"`
	Tags      []tag    `json:"Tag"`
}

// createTags adds tags to all resources or, where one does not exist or has too many, to none.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html
func (s *site) createTags(_ *call, in tagsInput) body {
	add := parseTags(in.Tags)
	if len(add) == 0 {
		refuseMissing("tagSet")
	}
	return s.retag(in.Resources, func(tags Tags) { maps.Copy(tags, add) })
}

// deleteTags removes the tags whose key, and value where one is given, match. Without any tag, all are removed.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
func (s *site) deleteTags(_ *call, in tagsInput) body {
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

func (s *site) retag(ids []string, change func(Tags)) body {
	if len(ids) == 0 {
		refuseMissing("resourceIdSet")
	}
	next := map[*Tags]Tags{}
	for _, id := range ids {
		tags := s.tagsOf(id)
		next[tags] = merged(*tags, nil)
		change(next[tags])
		next[tags].check()
	}
	for tags, changed := range next {
		*tags = changed
	}
	s.touch(ids...)
	return done
}
