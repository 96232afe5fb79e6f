package secgroup

import (
	"fmt"
	"strings"
	"time"
)

// A Stamp is what the description of an owned rule says: who made the rule
// and what from.
type Stamp struct {
	TagKey    string
	Services  []string
	Published time.Time // when the file was published the rule was made from
}

// maxDescription is the length of a rule's description in characters, and
// descriptionChars are the ones it may hold beside letters and digits. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
const (
	maxDescription   = 255
	descriptionChars = " ._-:/()#,@[]+=&;{}!$*"
)

// String returns the description, such as
//
//	cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z
func (s Stamp) String() string {
	return s.TagKey + ": " + strings.Join(s.Services, ",") + " " + s.Published.UTC().Format(time.RFC3339)
}

// Validate reports whether EC2 takes the stamp as a description.
func (s Stamp) Validate() error {
	text := s.String()
	if len(text) > maxDescription {
		return fmt.Errorf("a rule's description %q would have %d characters, EC2 takes %d; shorten the tag key or list fewer services", text, len(text), maxDescription)
	}
	for _, r := range text {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(descriptionChars, r)) {
			return fmt.Errorf("a rule's description cannot hold %q; use letters, digits and any of %s", r, descriptionChars)
		}
	}
	return nil
}

// stamped reports whether a description marks a rule as owned.
func stamped(tagKey, description string) bool {
	return len(description) > len(tagKey) && description[len(tagKey)] == ':' && description[:len(tagKey)] == tagKey
}

// publishedIn returns the publication time an owned rule's description ends
// with; ok is false where someone has written something else there.
func publishedIn(description string) (t time.Time, ok bool) {
	t, err := time.Parse(time.RFC3339, description[strings.LastIndexByte(description, ' ')+1:])
	return t, err == nil
}
