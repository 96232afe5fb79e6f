package secgroup

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// A StrayTag is a tag that was meant for this tool, and does nothing: its key is mistyped, or its group lacks the tag
// that lists the ports.
type StrayTag struct {
	GroupID   string `json:"groupId"`
	GroupName string `json:"name"`
	Key       string `json:"key"`
	Value     string `json:"value"`
	Meant     string `json:"meant"` // what Key was most likely meant to be; Key itself if only the tag for ports is missing
	tagKey    string
}

func (s StrayTag) String() string {
	if s.Key == s.Meant {
		return fmt.Sprintf("%s: the tag %s=%q has no effect, because the group has no tag %s: add that tag, with the ports, or remove this one",
			s.GroupID, s.Key, s.Value, s.tagKey)
	}
	return fmt.Sprintf("%s: the tag %s=%q has no effect, because its key is not %s: correct it or remove it", s.GroupID, s.Key, s.Value, s.Meant)
}

// FindStrayTags finds the groups with stray tags of a tag key, by one describe of similar keys.
func FindStrayTags(ctx context.Context, api ec2.DescribeSecurityGroupsAPIClient, tagKey string) ([]StrayTag, error) {
	groups, err := describe(ctx, api, "with tags like "+tagKey, "tag-key", patternsLike(tagKey))
	return StrayTags(tagKey, groups), err
}

// StrayTags returns the stray tags of groups, by group ID and key, each once.
func StrayTags(tagKey string, groups []Group) []StrayTag {
	var stray []StrayTag
	for _, g := range groups {
		_, managed := g.Tags[tagKey]
		for _, key := range slices.Sorted(maps.Keys(g.Tags)) {
			meant := meantKey(tagKey, key)
			if meant == "" || meant == key && managed || servesAnother(g, key) {
				continue
			}
			stray = append(stray, StrayTag{g.ID, g.Name, key, g.Tags[key], meant, tagKey})
		}
	}
	slices.SortFunc(stray, func(a, b StrayTag) int { return cmp.Or(cmp.Compare(a.GroupID, b.GroupID), cmp.Compare(a.Key, b.Key)) })
	return slices.Compact(stray)
}

// servesAnother reports whether a key that is like ours is that of another deployment, which has made rules in the
// group.
func servesAnother(g Group, key string) bool {
	return slices.ContainsFunc(suffixes, func(suffix string) bool {
		base := strings.TrimSuffix(key, suffix)
		_, tagged := g.Tags[base]
		return tagged && slices.ContainsFunc(g.Ingress, func(r Rule) bool { return stamped(base, r.Description) })
	})
}

// meantKey returns which of the keys that this tool reads a key is, or was likely meant to be.
func meantKey(tagKey, key string) (meant string) {
	for _, suffix := range suffixes {
		switch whole := tagKey + suffix; {
		case key == whole:
			return key
		case meant == "" && (folded(key) == folded(whole) || len(tagKey) >= shortestMistyped && oneLetterOff(key, whole)):
			meant = whole
		}
	}
	return meant
}

// shortestMistyped is the length of a tag key from which on a letter more or less is taken for a mistake. Short keys
// are like one another.
const shortestMistyped = 5

var (
	separator = regexp.MustCompile(`[-_. :/]`)
	initials  = regexp.MustCompile(`^[-_. :/]*.|[-_. :/]+.?`)
)

// folded makes keys equal that differ only in case or in the separators of words.
func folded(key string) string { return separator.ReplaceAllString(strings.ToLower(key), "-") }

// oneLetterOff reports whether one letter was left out, put in or replaced, or two neighbours were swapped.
func oneLetterOff(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	swapped := len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
	return swapped || len(a) <= 1 && len(b) <= 1 && a != b
}

// patternsLike returns patterns of EC2's filters that match the keys of stray tags, and not many others: keys with the
// same first half, or the same second half, whatever the initials and separators, or with the letters where these meet
// swapped. Many other keys have half of a short one, so these match its spellings with other capitals only. In patterns
// ? stands for one character or none; see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
func patternsLike(tagKey string) (patterns []string) {
	suffix := strings.Repeat("?", len(PublicSuffix)+1) // with a letter too many
	lower, upper := strings.ToLower(tagKey), strings.ToUpper(tagKey)
	if len(tagKey) < shortestMistyped {
		for _, key := range []string{tagKey, lower, upper, upper[:1] + tagKey[1:]} {
			patterns = append(patterns, escapeFilter(key)+suffix)
		}
	} else {
		half := len(tagKey) / 2
		words := func(part string) string {
			return initials.ReplaceAllStringFunc(escapeFilter(part), func(s string) string { return strings.Repeat("?", len(s)) })
		}
		patterns = []string{
			words(tagKey[:half]) + "*", escapeFilter(lower[:half]) + "*", escapeFilter(upper[:half]) + "*", "*" + words(tagKey[half:]) + suffix,
			escapeFilter(tagKey[:half-1]) + "??" + escapeFilter(tagKey[half+1:]) + suffix,
		}
	}
	slices.Sort(patterns)
	return slices.Compact(patterns)
}
