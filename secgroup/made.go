package secgroup

import (
	"regexp"
	"strings"
	"sync"
)

// madePattern is what stands before the time in a stamp: services, and those
// whose ranges the rules may take in as well.
var madePattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Z0-9_]+(,[A-Z0-9_]+)*( within [A-Z0-9_]+(,[A-Z0-9_]+)*)?$`)
})

// MadeFor returns what a description says that its rule was made for, such as
// "CLOUDFRONT" or "CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT". It is empty for
// a rule that is not owned, and for one whose description was edited.
func MadeFor(tagKey, description string) string {
	stamp, owned := strings.CutPrefix(description, tagKey+": ")
	end := strings.LastIndexByte(stamp, ' ')
	if _, dated := publishedIn(description); !owned || !dated || end < 0 || !madePattern().MatchString(stamp[:end]) {
		return ""
	}
	return stamp[:end]
}
