package iprange

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxToken is the last second of the year 9999, beyond which a time no longer prints as RFC 3339 has it.
const maxToken = 253402300799

// tokenTime returns the time of publication in a sync token. The file's createDate is not reliable: one published on
// 2017-07-20 reads "2017-07-20-22-42-233".
func tokenTime(token string) (time.Time, error) {
	seconds, err := strconv.ParseUint(token, 10, 63)
	if err != nil || seconds == 0 || seconds > maxToken {
		return time.Time{}, fmt.Errorf("sync token %s is not a time in Unix seconds", quote(token))
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// compareTokens compares two sync tokens as numbers, not as text.
func compareTokens(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
