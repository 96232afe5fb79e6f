package secgroup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/hint"
)

// A Stamp is what the description of an owned rule says: who made the rule and what from.
type Stamp struct {
	TagKey    string
	Services  []string
	Within    []string  // the services whose ranges the rules may take in as well
	Published time.Time // when the file was published the rule was made from
	Held      bool      // authorized while the guard held its pool, see [HeldError]
}

// maxDescription is the length of a rule's description in characters, and descriptionChars are the ones it may hold
// beside letters and digits. See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
const (
	maxDescription   = 255
	descriptionChars = " ._-:/()#,@[]+=&;{}!$*"
)

const (
	held   = " held"    // ends the description of a rule that was authorized while its pool was held
	within = " within " // separates the services from those whose ranges their rules may take in
)

// String returns the description, such as
//
//	cloudfront-ingress: CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT 2026-08-22T15:17:05Z held
func (s Stamp) String() string {
	text := s.TagKey + ": " + s.Settings() + " " + s.Published.UTC().Format(time.RFC3339)
	if s.Held {
		text += held
	}
	return text
}

// Settings returns the services that the rules are made for, such as "CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT".
func (s Stamp) Settings() string {
	made := strings.Join(s.Services, ",")
	if len(s.Within) > 0 {
		made += within + strings.Join(s.Within, ",")
	}
	return made
}

// sameSettings reports whether rules with either stamp are made for the same services within the same services, in
// whatever order these are named.
func (s Stamp) sameSettings(o Stamp) bool {
	return sameNames(s.Services, o.Services) && sameNames(s.Within, o.Within)
}

func sameNames(a, b []string) bool {
	sorted := func(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }
	return slices.Equal(sorted(a), sorted(b))
}

// ParseStamp returns the stamp that a description is. It fails for any description that [Stamp.String] does not return
// for a stamp of the tag key: for one that is not owned, and for an owned one that someone has edited.
func ParseStamp(tagKey, description string) (Stamp, bool) {
	made, marked := strings.CutSuffix(strings.TrimPrefix(description, tagKey+": "), held)
	words := strings.Split(made, " ")
	s := Stamp{TagKey: tagKey, Services: strings.Split(words[0], ","), Held: marked}
	if len(words) > 2 { // SERVICES within SERVICES TIME
		s.Within = strings.Split(words[2], ",")
	}
	var err error
	s.Published, err = time.Parse(time.RFC3339, words[len(words)-1])
	if err != nil || slices.ContainsFunc(slices.Concat(s.Services, s.Within), unreadable) || s.String() != description {
		return Stamp{}, false
	}
	return s, true
}

// unreadable reports whether a service's name could be mistaken for another part of a description.
func unreadable(service string) bool { return service == "" || strings.ContainsAny(service, " ,") }

// Validate reports whether EC2 takes the stamp as a description, and [ParseStamp] can read it there.
func (s Stamp) Validate() error {
	for _, service := range slices.Concat(s.Services, s.Within) {
		if unreadable(service) {
			return fmt.Errorf("%q cannot be a service in a rule's description: a name has no spaces or commas", service)
		}
	}
	if len(s.Services) == 0 {
		return errors.New("a rule's description names a service, and none is given")
	}
	s.Held = true // the longest that a run may write
	text := s.String()
	if len(text) > maxDescription {
		return hint.New(fmt.Sprintf("a rule's description %q would have %d characters, but EC2 accepts %d", text, len(text), maxDescription), "shorten the tag key, or list fewer services")
	}
	for _, r := range text {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(descriptionChars, r)) {
			return hint.New(fmt.Sprintf("a rule's description cannot contain %q", r), "use letters, digits and any of "+descriptionChars)
		}
	}
	return nil
}

// stamped reports whether a description marks a rule as owned.
func stamped(tagKey, description string) bool {
	return len(description) > len(tagKey) && description[len(tagKey)] == ':' && description[:len(tagKey)] == tagKey
}

// clockSkew is how far ahead of the clock here a file or a stamp may be.
const clockSkew = time.Hour

// isFuture reports whether something is dated in the future.
func (req *Request) isFuture(t time.Time) bool {
	return !req.Now.IsZero() && t.After(req.Now.Add(clockSkew))
}

// refuseFuture fails if the file is dated in the future. It would count as newer than all true ones to come.
func refuseFuture(req Request) error {
	if req.isFuture(req.Published) {
		return hint.New(fmt.Sprintf("the file says it was published at %s, but now it is %s, so nothing was changed",
			req.Published.UTC().Format(time.RFC3339), req.Now.UTC().Format(time.RFC3339)), "check the file, and the clock of this machine")
	}
	return nil
}

// refuseOlder fails with an *[OlderError] if a rule of the pool was made from a newer publication than the one asked
// for.
func refuseOlder(members []*HolderPlan, req Request) error {
	for _, h := range members {
		if h.Applied.After(req.Published) && !req.Withdraw && !req.Force {
			return &OlderError{Kind: h.Kind, HolderID: h.ID, Rule: h.newest, Newest: h.Applied, Published: req.Published}
		}
	}
	return nil
}

// A doubt says why the date in a rule's description is ignored.
type doubt struct {
	rule RuleID
	text string
}

// date finds out, by their descriptions, how old the owned rules are. It doubts what cannot be true: that someone has
// edited, or that is dated in the future.
func (h *HolderPlan) date(req Request) {
	for _, r := range h.Ingress {
		wrong := ""
		switch s, ok := ParseStamp(req.TagKey, r.Description); {
		case !stamped(req.TagKey, r.Description):
		case !ok:
			wrong = "not one that this tool writes"
		case req.isFuture(s.Published):
			wrong = "dated in the future"
		case s.Published.After(h.Applied):
			h.Applied, h.newest = s.Published, r
		}
		if wrong != "" {
			text := fmt.Sprintf("the description %q of %s is %s, so its date is ignored", r.Description, r.name(), wrong)
			h.doubts = append(h.doubts, doubt{r.RuleID, text})
		}
	}
}

// name names the rule, or the entry of a list, in a message.
func (r Rule) name() string {
	if r.Protocol == "" {
		return "entry " + r.Source.String()
	}
	return "rule " + r.RuleID.String()
}
