package iprange

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Notice identifies the file that a notification of the topic AmazonIpSpaceChanged announces.
type Notice struct {
	SyncToken string // of the announced file: digits, Unix seconds
	MD5       string // of the announced file: 32 hexadecimal digits
}

// ParseNotice reads the message of a notification. It drops the url: the source of the file is configuration, not input.
// https://docs.aws.amazon.com/vpc/latest/userguide/subscribe-notifications.html
func ParseNotice(message []byte) (Notice, error) {
	n, err := decodeNotice(jsontext.NewDecoder(bytes.NewBuffer(message)))
	switch {
	case errors.Is(err, io.EOF):
		return Notice{}, errors.New("read notification: it is empty")
	case err == nil:
		err = n.validate()
	}
	if err != nil {
		return Notice{}, fmt.Errorf("read notification %s: %w", quote(string(message)), err)
	}
	n.MD5 = strings.ToLower(n.MD5)
	return n, nil
}

func decodeNotice(dec *jsontext.Decoder) (n Notice, err error) {
	if err := expect(dec, jsontext.KindBeginObject); err != nil {
		return n, err
	}
	if _, err := dec.ReadToken(); err != nil {
		return n, err
	}
	for dec.PeekKind() != jsontext.KindEndObject {
		token, err := dec.ReadToken()
		if err != nil {
			return n, err
		}
		name := token.String()
		switch name {
		case "synctoken":
			n.SyncToken, err = readString(dec)
		case "md5":
			n.MD5, err = readString(dec)
		default:
			err = dec.SkipValue()
		}
		if err != nil {
			return n, fmt.Errorf("%s: %w", quote(name), err)
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return n, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return n, errors.New("more data follows the JSON object")
	}
	return n, nil
}

func (n Notice) validate() error {
	if n.SyncToken == "" {
		return errors.New("it has no synctoken")
	}
	if _, err := tokenTime(n.SyncToken); err != nil {
		return err
	}
	if n.MD5 == "" {
		return errors.New("it has no md5")
	}
	if sum, err := hex.DecodeString(n.MD5); err != nil || len(sum) != md5.Size {
		return fmt.Errorf("md5 %s is not 32 hexadecimal digits", quote(n.MD5))
	}
	return nil
}

// Newer reports whether n announces a later file than o. Any notice is newer than the zero one.
func (n Notice) Newer(o Notice) bool { return compareTokens(n.SyncToken, o.SyncToken) > 0 }

// check reports whether p is not what the notice announced, nor newer.
func (n Notice) check(p *Publication) error {
	switch order := compareTokens(p.SyncToken, n.SyncToken); {
	case order > 0:
		return nil
	case order < 0:
		return fmt.Errorf("%w: the file served is of %s, the notification announced that of %s",
			ErrStale, describeToken(p.SyncToken), describeToken(n.SyncToken))
	}
	if sum := hex.EncodeToString(p.MD5[:]); !strings.EqualFold(sum, n.MD5) {
		return fmt.Errorf("%w: the file of %s has MD5 %s, the notification announced %s",
			ErrCorrupt, describeToken(p.SyncToken), sum, n.MD5)
	}
	return nil
}

// describeToken writes a sync token as a time, followed by the token.
func describeToken(token string) string {
	t, err := tokenTime(token)
	if err != nil {
		return quote(token)
	}
	return fmt.Sprintf("%s (sync token %s)", t.Format(time.RFC3339), token)
}

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
