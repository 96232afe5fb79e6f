package document

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// A Source says where the settings of a run come from.
type Source string

// The sources, in the order in which they are asked.
const (
	FromFlags       Source = "flags"
	FromEnvironment Source = "environment"
	FromStack       Source = "stack"
	FromRules       Source = "rules" // the descriptions of rules and entries, if all agree
	FromDefault     Source = "default"
)

// Settings say which ranges are wanted, where that comes from, and whether the rules agree.
type Settings struct {
	Services []string `json:"services"`
	Within   []string `json:"within"`
	From     Source   `json:"from"`
	// Others are the settings of rules and entries that were made with others.
	Others []Made `json:"others"`
}

// Made says what rules and entries were made for. The names are sorted: their order does not matter.
type Made struct {
	Services []string `json:"services"`
	Within   []string `json:"within"`
	Rules    int      `json:"rules"` // how many, entries included
}

func madeFor(services, within []string) Made {
	sorted := func(names []string) []string { // not null in JSON
		return append([]string{}, slices.Compact(slices.Sorted(slices.Values(names)))...)
	}
	return Made{Services: sorted(services), Within: sorted(within)}
}

// String returns the settings as a description has them.
func (m Made) String() string {
	return secgroup.Stamp{Services: m.Services, Within: m.Within}.Settings()
}

// MadeFor says what the rules and entries of holders were made for, by their descriptions, most rules first.
func MadeFor(tagKey string, holders []secgroup.Holder) []Made {
	count := map[string]Made{}
	for _, h := range holders {
		for _, r := range h.Ingress {
			if stamp, ok := secgroup.ParseStamp(tagKey, r.Description); ok {
				made := madeFor(stamp.Services, stamp.Within)
				made.Rules = count[made.String()].Rules + 1
				count[made.String()] = made
			}
		}
	}
	return slices.SortedFunc(maps.Values(count), func(a, b Made) int {
		return cmp.Or(cmp.Compare(b.Rules, a.Rules), cmp.Compare(a.String(), b.String()))
	})
}

// Compare notes which of the rules were made with other settings.
func (s *Settings) Compare(made []Made) {
	ours := madeFor(s.Services, s.Within).String()
	s.Others = slices.DeleteFunc(append([]Made{}, made...), func(m Made) bool { return m.String() == ours })
}

// Origin says where the settings come from.
func (s Settings) Origin() string {
	return map[Source]string{
		FromFlags: "--service and --within", FromEnvironment: "SERVICES and WITHIN in the environment", FromStack: "the function of --stack",
		FromRules: "what the descriptions of the rules say", FromDefault: "the default",
	}[s.From]
}

// Disagree says that rules were made with other settings, or nothing.
func (s Settings) Disagree() string {
	if len(s.Others) == 0 {
		return ""
	}
	return fmt.Sprintf("these rules were made with other settings: %s, and this run is for %s",
		strings.Join(words.Strings(s.Others), " and "), madeFor(s.Services, s.Within))
}

// Refuse returns an error if rules were made with other settings and the command line does not name those of this run,
// so that no rule may be changed to them.
func (s Settings) Refuse() error {
	if len(s.Others) == 0 || s.From == FromFlags || s.From == FromStack {
		return nil
	}
	return hint.New(fmt.Sprintf("%s (%s): nothing was changed", s.Disagree(), s.Origin()),
		"name the settings with --service and --within, or with --stack, which takes those of the deployed function")
}

// Flags are the flags that name the settings which most of the rules were made with.
func (s Settings) Flags() []string {
	o := s.Others[0]
	var flags []string
	for _, name := range o.Services {
		flags = append(flags, "--service", name)
	}
	for _, name := range o.Within {
		flags = append(flags, "--within", name)
	}
	return flags
}
