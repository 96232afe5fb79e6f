package secgroup

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// The tags that configure a group are the tag key and these suffixes of it.
const (
	poolSuffix = "-pool"
	modeSuffix = "-mode"
	// PublicSuffix names the ports that are meant to be open to the world.
	PublicSuffix = "-public"
)

// suffixes are those of all keys that this tool reads.
var suffixes = []string{"", poolSuffix, modeSuffix, PublicSuffix}

// Settings are what the tags of a group ask for.
type Settings struct {
	Ports     []PortRange // the TCP ports to open, sorted, each once; none if every owned rule is to be withdrawn
	Pool      string      // of the groups of one VPC that share their rules; empty for a group of its own
	Exclusive bool        // every IP-range rule on the listed ports belongs to this tool, whatever its description
	Public    []PortRange // the ports that are meant to be open to the world, sorted, each once
}

// A PortRange is an inclusive range of TCP ports.
type PortRange struct{ From, To uint16 }

func (p PortRange) String() string {
	if p.From == p.To {
		return strconv.Itoa(int(p.From))
	}
	return fmt.Sprintf("%d-%d", p.From, p.To)
}

// PortNames writes port ranges as a group's tag lists them. The result is never nil.
func PortNames(ports []PortRange) []string { return words.Strings(ports) }

func (p PortRange) compare(o PortRange) int {
	return cmp.Or(cmp.Compare(p.From, o.From), cmp.Compare(p.To, o.To))
}

// SortPorts sorts ports in place, and returns them with each once.
func SortPorts(ports []PortRange) []PortRange {
	slices.SortFunc(ports, PortRange.compare)
	return slices.Compact(ports)
}

// ParseSettings reads the settings of a group from its tags. The tag named key lists the ports; key-pool, key-mode and
// key-public are optional. An error names the tag, its value and what it may hold.
func ParseSettings(key string, tags map[string]string) (Settings, error) {
	var s Settings
	ports, err := ParsePorts(tags[key])
	if err != nil {
		return s, fmt.Errorf("tag %s=%q: %w", key, tags[key], err)
	}
	s.Ports = ports
	if pool, ok := tags[key+poolSuffix]; ok {
		if s.Pool = strings.TrimSpace(pool); s.Pool == "" {
			return s, hint.New(fmt.Sprintf("tag %s%s is empty", key, poolSuffix), "give the pool a name, or remove the tag")
		}
	}
	switch mode := tags[key+modeSuffix]; mode {
	case "", "owned":
	case "exclusive":
		s.Exclusive = true
	default:
		return s, hint.New(fmt.Sprintf("tag %s%s=%q: unknown mode", key, modeSuffix, mode), `set it to "owned" or "exclusive"`)
	}
	if public, ok := tags[key+PublicSuffix]; ok {
		if s.Public, err = ParsePorts(public); err != nil {
			return s, fmt.Errorf("tag %s%s=%q: %w", key, PublicSuffix, public, err)
		}
	}
	return s, nil
}

// parseListSettings reads the settings of a prefix list from its tags. A list that shall hold the ranges has listPort
// as its port, one whose entries are to be withdrawn has none.
func parseListSettings(key string, tags map[string]string) (Settings, error) {
	var s Settings
	switch value := strings.TrimSpace(tags[key]); value {
	case "ranges":
		s.Ports = []PortRange{listPort}
	case "none":
	default:
		return s, fmt.Errorf("tag %s=%q: on a prefix list it is %q, or %q to withdraw the entries; the ports are in the rules that refer to the list",
			key, value, "ranges", "none")
	}
	if _, ok := tags[key+poolSuffix]; ok {
		return s, hint.New(fmt.Sprintf("tag %s%s: prefix lists have no pools; one list holds all ranges of its address family", key, poolSuffix),
			"make one list large enough, refer to it wherever the lists of the pool are referred to, tag it "+tag(key, "ranges")+", and when it is filled tag the other lists "+tag(key, "none")+" and remove the tag "+key+poolSuffix+" from all")
	}
	for _, suffix := range []string{modeSuffix, PublicSuffix} {
		if value, ok := tags[key+suffix]; ok && value != "owned" {
			return s, hint.New("tag "+key+suffix+" is for security groups", "remove it from the prefix list; only owned entries are ever changed there")
		}
	}
	return s, nil
}

// ParsePorts reads a list of TCP ports, separated by spaces or commas: port numbers, ranges such as 8000-8080, and the
// names http and https, in any case. The value "none" is an empty list.
func ParsePorts(value string) ([]PortRange, error) {
	if strings.EqualFold(strings.TrimSpace(value), "none") {
		return nil, nil
	}
	var ports []PortRange
	for list := range strings.SplitSeq(value, ",") {
		words := strings.Fields(list)
		if len(words) == 0 {
			return nil, hint.New("a port is missing", `list ports such as "80 443", or "none" to withdraw the rules`)
		}
		for _, word := range words {
			p, err := parsePortRange(word)
			if err != nil {
				return nil, err
			}
			ports = append(ports, p)
		}
	}
	return SortPorts(ports), nil
}

func parsePortRange(word string) (PortRange, error) {
	numbers := cmp.Or(map[string]string{"http": "80", "https": "443"}[strings.ToLower(word)], word)
	first, last, isRange := strings.Cut(numbers, "-")
	if !isRange {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	switch {
	case strings.EqualFold(word, "none"):
		return PortRange{}, hint.New(fmt.Sprintf("%q must be the only value", word), "remove it, or the ports next to it")
	case err != nil || err2 != nil || from == 0 || to == 0:
		return PortRange{}, hint.New(fmt.Sprintf("%q is not a port", word), "use a number from 1 to 65535, a range such as 8000-8080, http or https")
	case from > to:
		return PortRange{}, hint.New(fmt.Sprintf("port range %q runs backwards", word), fmt.Sprintf("write %d-%d", to, from))
	}
	return PortRange{uint16(from), uint16(to)}, nil
}

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
