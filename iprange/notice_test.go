package iprange

import (
	"strings"
	"testing"
)

// notification is the example of the documentation, with an MD5 as long as they are.
// https://docs.aws.amazon.com/vpc/latest/userguide/subscribe-notifications.html
const (
	notification = `{
  "create-time":"yyyy-mm-ddThh:mm:ss+00:00",
  "synctoken":"0123456789",
  "md5":"` + sum + `",
  "url":"https://ip-ranges.amazonaws.com/ip-ranges.json"
}`
	sum = "6a45316e8bc9463c9e926d5d37836d33"
)

func TestParseNotice(t *testing.T) {
	want := Notice{SyncToken: "0123456789", MD5: sum}
	for _, message := range []string{
		notification, strings.ReplaceAll(notification, sum, strings.ToUpper(sum)),
		`{"md5":"` + sum + `","synctoken":"0123456789"}`,
		`{"more":{"md5":[null]},` + notification[1:], "\n " + notification + "\n",
	} {
		if n, err := ParseNotice([]byte(message)); err != nil || n != want {
			t.Errorf("%s: %+v, %v", message, n, err)
		}
	}
}

func TestParseNoticeRefused(t *testing.T) {
	token := func(value string) string { return `{"synctoken":` + value + `,"md5":"` + sum + `"}` }
	md5 := func(value string) string { return `{"synctoken":"1","md5":` + value + `}` }
	for _, test := range [][2]string{
		{"", "it is empty"},
		{" \n", "it is empty"},
		{"You have chosen to subscribe to the topic", "You have chosen"},
		{"null", "found null, want an object"},
		{"[]", "found a list, want an object"},
		{`"{}"`, "found a string, want an object"},
		{"{}", "no synctoken"},
		{notification[:100], "unexpected EOF"},
		{notification + "{}", "more data follows"},
		{`{"synctoken":"1",` + notification[1:], "duplicate"},
		{token("1"), `"synctoken": found a number, want a string`},
		{token(`"x"`), `"x" is not a time`},
		{token(`"+1"`), `"+1" is not a time`},
		{`{"synctoken":"1"}`, "no md5"},
		{md5("null"), `"md5": found null, want a string`},
		{md5(`"` + sum[2:] + `"`), "32 hexadecimal digits"},
		{md5(`"z` + sum[1:] + `"`), "32 hexadecimal digits"},
		{strings.NewReplacer("synctoken", "SyncToken", "md5", "MD5").Replace(notification), "no synctoken"},
		{strings.Repeat("x", 200_000), ""},
	} {
		n, err := ParseNotice([]byte(test[0]))
		if checkError(t, err, "read notification", test[1]); n != (Notice{}) || len(err.Error()) > 500 {
			t.Errorf("%.100q: something is returned with the error: %+v, or it has %d bytes", test[0], n, len(err.Error()))
		}
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
