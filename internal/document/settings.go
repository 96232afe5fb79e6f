package document

import (
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/words"
)

// A Source says where the settings of a run come from.
type Source string

// The sources, in the order in which they are asked.
const (
	FromFlags       Source = "flags"
	FromEnvironment Source = "environment"
	FromStack       Source = "stack"
	FromRules       Source = "rules" // what the descriptions of rules and entries say, if all agree
	FromDefault     Source = "default"
)

// Settings say which ranges are wanted, where that comes from, and whether the rules agree.
type Settings struct {
	Services []string `json:"services"`
	Within   []string `json:"within"`
	From     Source   `json:"from"`
	// Others are the settings of rules and entries that were made with others.
	Others []engine.Made `json:"others"`
}

// Compare notes which of the rules were made with other settings. Names are compared as sets.
func (s *Settings) Compare(made []engine.Made) {
	ours := engine.MadeFor(s.Services, s.Within).String()
	s.Others = slices.DeleteFunc(append([]engine.Made{}, made...), func(m engine.Made) bool { return m.String() == ours })
}

// Origin says where the settings come from.
func (s Settings) Origin() string {
	return map[Source]string{
		FromFlags: "--service and --within", FromEnvironment: "SERVICES and WITHIN in the environment", FromStack: "the function of --stack",
		FromRules: "what the descriptions of the rules say", FromDefault: "the default",
	}[s.From]
}

// Asked reports whether whoever runs the command has named the settings in it, so that rules may be changed to them.
func (s Settings) Asked() bool { return s.From == FromFlags || s.From == FromStack }

// Disagree says that rules were made with other settings, or nothing.
func (s Settings) Disagree() string {
	if len(s.Others) == 0 {
		return ""
	}
	return fmt.Sprintf("these rules were made with other settings: %s, and this run is for %s",
		strings.Join(words.Strings(s.Others), " and "), engine.MadeFor(s.Services, s.Within))
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
