package iprange

import (
	"fmt"

	"cloudfront-sg-sync/internal/words"

	"github.com/go-json-experiment/json/jsontext"
)

// expect fails if the next value is not of the wanted kind. The next read reports text that is not JSON at all.
func expect(dec *jsontext.Decoder, want jsontext.Kind) error {
	if got := dec.PeekKind(); got != want && got != jsontext.KindInvalid {
		return fmt.Errorf("found %s, want %s", describeKind(got), describeKind(want))
	}
	return nil
}

func describeKind(k jsontext.Kind) string {
	switch k {
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindBeginArray:
		return "a list"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	default:
		return k.String()
	}
}

// readString reads a value that must be a string.
func readString(dec *jsontext.Decoder) (string, error) {
	if err := expect(dec, jsontext.KindString); err != nil {
		return "", err
	}
	value, err := dec.ReadToken()
	if err != nil {
		return "", err
	}
	return value.String(), nil
}

// quote quotes untrusted text for an error message.
func quote(s string) string { return words.Quote(s, 64) }
