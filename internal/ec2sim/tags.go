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

// tagList holds the tags of a request.
type tagList []tag

type tag struct {
	Key   string  `json:"Key"`
	Value *string `json:"Value"`
}

// tags returns the tags. One without a value has an empty one.
func (given tagList) tags() Tags {
	tags := make(Tags, len(given))
	for _, t := range given {
		tags[t.Key] = *cmp.Or(t.Value, new(string))
	}
	return tags
}

// A tagSpec has the tags of a resource to create. Each action creates one type of resource.
type tagSpec struct {
	Type string  `json:"TagSpecification.1.ResourceType"`
	Tags tagList `json:"TagSpecification.1.Tag"`
}

type tagsInput struct {
	Resources []string `json:"ResourceId"`
	Tags      tagList  `json:"Tag"`
}

// createTags adds tags to all resources or, where one does not exist, to none.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html
func (s *site) createTags(_ *call, in tagsInput) body {
	return s.retag(in.Resources, func(tags Tags) { maps.Copy(tags, in.Tags.tags()) })
}

// deleteTags removes the tags whose key, and value where one is given, match. Without any tag, all are removed.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
func (s *site) deleteTags(_ *call, in tagsInput) body {
	return s.retag(in.Resources, func(tags Tags) {
		maps.DeleteFunc(tags, func(key, value string) bool {
			matches := func(t tag) bool { return t.Key == key && (t.Value == nil || *t.Value == value) }
			return len(in.Tags) == 0 || slices.ContainsFunc(in.Tags, matches)
		})
	})
}

// retag changes the tags of security groups and of the account's own prefix lists.
func (s *site) retag(ids []string, change func(Tags)) body {
	next := map[*Tags]Tags{}
	for _, id := range ids {
		var tags *Tags
		if strings.HasPrefix(id, "pl-") {
			tags = &s.ownList(id).Tags
		} else {
			tags = &s.groups.find(id).Tags
		}
		next[tags] = merged(*tags, nil)
		change(next[tags])
	}
	for tags, changed := range next {
		*tags = changed
	}
	s.touch(ids...)
	return done
}
