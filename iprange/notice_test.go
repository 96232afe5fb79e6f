package iprange

import (
	"strings"
	"testing"
)

// notification is the example of the documentation, with an MD5 as long as they are.
// https://docs.aws.amazon.com/vpc/latest/userguide/subscribe-notifications.html
const notification = `{
  "create-time":"yyyy-mm-ddThh:mm:ss+00:00",
  "synctoken":"0123456789",
  "md5":"6a45316e8bc9463c9e926d5d37836d33",
  "url":"https://ip-ranges.amazonaws.com/ip-ranges.json"
}`

func TestParseNotice(t *testing.T) {
	want := Notice{SyncToken: "0123456789", MD5: "6a45316e8bc9463c9e926d5d37836d33"}
	for name, message := range map[string]string{
		"as documented":   notification,
		"upper case":      strings.ReplaceAll(notification, "6a45316e8bc9463c9e926d5d37836d33", "6A45316E8BC9463C9E926D5D37836D33"),
		"only needed":     `{"md5":"6a45316e8bc9463c9e926d5d37836d33","synctoken":"0123456789"}`,
		"unknown members": `{"more":{"md5":[null]},` + notification[1:],
		"white space":     "\n " + notification + "\n",
	} {
		if n, err := ParseNotice([]byte(message)); err != nil || n != want {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
}

func TestParseNoticeRefused(t *testing.T) {
	const sum = `"md5":"6a45316e8bc9463c9e926d5d37836d33"`
	for _, test := range []struct{ name, message, word string }{
		{"empty", ``, "it is empty"},
		{"white space", " \n", "it is empty"},
		{"text", `You have chosen to subscribe to the topic`, "You have chosen"},
		{"null", `null`, "found null, want an object"},
		{"a list", `[]`, "found a list, want an object"},
		{"a string", `"{}"`, "found a string, want an object"},
		{"an empty object", `{}`, "no synctoken"},
		{"cut", notification[:100], "unexpected EOF"},
		{"trailing data", notification + "{}", "more data follows"},
		{"duplicate", `{"synctoken":"1","synctoken":"2",` + sum + `}`, "duplicate"},
		{"no synctoken", `{` + sum + `}`, "no synctoken"},
		{"synctoken a number", `{"synctoken":1,` + sum + `}`, `"synctoken": found a number, want a string`},
		{"synctoken not digits", `{"synctoken":"x",` + sum + `}`, `"x" is not a time`},
		{"synctoken signed", `{"synctoken":"+1",` + sum + `}`, `"+1" is not a time`},
		{"no md5", `{"synctoken":"1"}`, "no md5"},
		{"md5 null", `{"synctoken":"1","md5":null}`, `"md5": found null, want a string`},
		{"md5 short", `{"synctoken":"1","md5":"6a45316e8bc9463c9e926d5d37836d"}`, "32 hexadecimal digits"},
		{"md5 not hexadecimal", `{"synctoken":"1","md5":"za45316e8bc9463c9e926d5d37836d33"}`, "32 hexadecimal digits"},
		{"other case of names", `{"SyncToken":"1","MD5":"6a45316e8bc9463c9e926d5d37836d33"}`, "no synctoken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n, err := ParseNotice([]byte(test.message))
			checkError(t, err, "read notification", test.word)
			if n != (Notice{}) {
				t.Errorf("something is returned with the error: %+v", n)
			}
		})
	}
}

func TestParseNoticeErrorIsBounded(t *testing.T) {
	_, err := ParseNotice([]byte(strings.Repeat("x", 200_000)))
	if checkError(t, err, "read notification"); len(err.Error()) > 500 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

func TestNoticeNewer(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"1787411825", "1787411824", true},
		{"1787411825", "1787411825", false},
		{"1787411824", "1787411825", false},
		{"1000000000", "999999999", true}, // not so as text
		{"999999999", "1000000000", false},
		{"0999999999", "1000000000", false},
		{"01000000000", "1000000000", false},
		{"1", "", true},
		{"", "", false},
	} {
		if got := (Notice{SyncToken: test.a}).Newer(Notice{SyncToken: test.b}); got != test.want {
			t.Errorf("%q newer than %q: %t", test.a, test.b, got)
		}
	}
}

func FuzzParseNotice(f *testing.F) {
	for _, seed := range []string{
		notification, ``, `{}`, `null`, `[]`, notification[:100], notification + "{}",
		`{"synctoken":"1","synctoken":"2"}`, `{"synctoken":1,"md5":null}`, `{"\u006dd5":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		n, err := ParseNotice(message)
		if err != nil {
			return
		}
		if err := n.validate(); err != nil || n.MD5 != strings.ToLower(n.MD5) || !n.Newer(Notice{}) {
			t.Errorf("accepted %+v: %v", n, err)
		}
	})
}
