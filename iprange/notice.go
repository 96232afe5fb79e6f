package iprange

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

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
