package ec2sim

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// A tag is a tag in a request or an answer. The value is nil only in a request that leaves it out.
type tag struct {
	Key   string  `query:"Key" xml:"key"`
	Value *string `query:"Value" xml:"value"`
}

// tagList returns tags in the order of their keys.
func tagList(tags map[string]string) []tag {
	list := make([]tag, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		list = append(list, tag{key, &value})
	}
	return list
}

// maxTags is how many tags a resource may have.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
const maxTags = 50

// parseTags checks the tags of a request. A tag without a value has an empty one.
func parseTags(list []tag) (map[string]string, error) {
	tags := make(map[string]string, len(list))
	for _, t := range list {
		var value string
		if t.Value != nil {
			value = *t.Value
		}
		switch {
		case t.Key == "" || utf8.RuneCountInString(t.Key) > 128:
			return nil, errorf("InvalidParameterValue", "Tag key must have between 1 and 128 characters: %q", t.Key)
		case utf8.RuneCountInString(value) > 256:
			return nil, errorf("InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters")
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return nil, errorf("InvalidParameterValue", "Value ( %s ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use", t.Key)
		}
		if _, twice := tags[t.Key]; twice {
			return nil, errorf("InvalidParameterValue", "Duplicate tag key '%s' specified.", t.Key)
		}
		tags[t.Key] = value
	}
	if len(tags) > maxTags {
		return nil, tooManyTags()
	}
	return tags, nil
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
func (specs tagSpecs) tagsFor(resourceType string) (map[string]string, error) {
	var list []tag
	for _, spec := range specs {
		if spec.Type != resourceType {
			return nil, errorf("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", spec.Type)
		}
		list = append(list, spec.Tags...)
	}
	return parseTags(list)
}

// tagged returns the tags of a resource, and a function that replaces them.
func (s *site) tagged(id string) (tags map[string]string, replace func(map[string]string), err error) {
	kind, _, _ := strings.Cut(id, "-")
	switch kind {
	case "sg":
		g, err := s.groups.find(id)
		if err != nil {
			return nil, nil, err
		}
		return g.Tags, func(t map[string]string) { s.update(g, func(g *Group) { g.Tags = t }) }, nil
	case "sgr":
		return s.taggedRule(id)
	case "vpc":
		v, err := s.vpcs.find(id)
		return tagsOf(v, err, func(v *VPC) *map[string]string { return &v.Tags })
	case "subnet":
		n, err := s.subnets.find(id)
		return tagsOf(n, err, func(n *subnet) *map[string]string { return &n.tags })
	case "eni":
		i, err := s.interfaces.find(id)
		return tagsOf(i, err, func(i *Interface) *map[string]string { return &i.Tags })
	case "pl":
		l, err := s.ownList(id)
		return tagsOf(l, err, func(l *PrefixList) *map[string]string { return &l.Tags })
	}
	return nil, nil, errorf("InvalidID", "The ID '%s' is not valid", id)
}

// tagsOf returns the tags of a resource that was looked up, as tagged does.
func tagsOf[T any](v T, err error, field func(T) *map[string]string) (map[string]string, func(map[string]string), error) {
	if err != nil {
		return nil, nil, err
	}
	tags := field(v)
	return *tags, func(t map[string]string) { *tags = t }, nil
}

// taggedRule does for a security group rule what tagged does for the rest.
func (s *site) taggedRule(id string) (map[string]string, func(map[string]string), error) {
	r, err := s.rules().find(id)
	if err != nil {
		return nil, nil, err
	}
	return r.Tags, func(t map[string]string) {
		s.update(r.group, func(g *Group) {
			rules := slices.Clone(*g.rules(r.egress))
			for i := range rules {
				if rules[i].ID == id {
					rules[i].Tags = t
				}
			}
			*g.rules(r.egress) = rules
		})
	}, nil
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
	return s.retag(in.Resources, func(tags map[string]string) map[string]string { return merged(tags, add) })
}

// deleteTags removes the tags whose key, and value where one is given, match. Without any tag, all are removed.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
func (s *site) deleteTags(_ *call, in tagsInput) (*done, error) {
	if len(in.Resources) == 0 {
		return nil, missing("resourceIdSet")
	}
	return s.retag(in.Resources, func(tags map[string]string) map[string]string {
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
func (s *site) retag(ids []string, change func(map[string]string) map[string]string) (*done, error) {
	var apply []func()
	for _, id := range ids {
		tags, replace, err := s.tagged(id)
		if err != nil {
			return nil, err
		}
		next := change(tags)
		if len(next) > maxTags {
			return nil, tooManyTags()
		}
		apply = append(apply, func() { replace(next) })
	}
	for _, f := range apply {
		f()
	}
	return &done{Return: true}, nil
}

type describeTagsInput struct{ describeInput }

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
	id:   func(t tagXML) string { return t.Resource + "\x00" + t.Key },
	tags: func(t tagXML) map[string]string { return map[string]string{t.Key: t.Value} },
	filters: attributes[tagXML]{
		"key":           func(t tagXML) []string { return []string{t.Key} },
		"resource-id":   func(t tagXML) []string { return []string{t.Resource} },
		"resource-type": func(t tagXML) []string { return []string{t.Type} },
		"value":         func(t tagXML) []string { return []string{t.Value} },
	},
}

func (s *site) describeTags(_ *call, in describeTagsInput) (*listing[tagXML], error) {
	all := slices.Concat(
		s.vpcs.listTags(), s.subnets.listTags(), s.groups.listTags(), s.rules().listTags(),
		s.interfaces.listTags(), s.prefixLists.listTags(),
	)
	return list("tagSet", tableOf(&tagKind, all), in.describeInput, nil, itself)
}

// listTags returns the tags of all resources of a table.
func (t *table[T]) listTags() (list []tagXML) {
	for v := range t.all {
		for key, value := range t.tags(v) {
			list = append(list, tagXML{t.id(v), t.resourceType, key, value})
		}
	}
	return list
}
