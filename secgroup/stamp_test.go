package secgroup

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestStampValidate(t *testing.T) {
	// ": ", " ", the time and " held", which a run may add, are 28 characters.
	longest := strings.Repeat("S", maxDescription-28-len("key"))
	for _, test := range []struct {
		key      string
		services []string
		within   []string
		want     string // in the error; empty for none
	}{
		{"key", []string{longest}, nil, ""},
		{"key", []string{longest + "S"}, nil, "have 256 characters, but EC2 accepts 255; shorten the tag key, or list fewer"},
		{"keys", []string{longest}, nil, "would have 256 characters"},
		{"key", []string{"A"}, []string{longest[len("A within"):]}, "would have 256 characters"},
		{"key", []string{"A"}, []string{longest[len("A within "):]}, ""},
		{"azAZ09 ._-:/()#,@[]+=&;{}!$*", []string{"CLOUDFRONT"}, nil, ""},
		{`"key"`, []string{"CLOUDFRONT"}, nil, `cannot contain '"'`},
		{"100%", []string{"CLOUDFRONT"}, nil, "cannot contain '%'"},
		{"key\n", []string{"CLOUDFRONT"}, nil, `cannot contain '\n'`},
		{"clé", []string{"CLOUDFRONT"}, nil, "cannot contain 'é'"},
		{"key", []string{"CLOUD~FRONT"}, nil, "cannot contain '~'"},
		{"key", []string{"CLOUD FRONT"}, nil, `"CLOUD FRONT" cannot be a service`},
		{"key", []string{"CLOUD,FRONT"}, nil, `"CLOUD,FRONT" cannot be a service`},
		{"key", []string{"A"}, []string{"B C"}, `"B C" cannot be a service`},
		{"key", []string{""}, nil, `"" cannot be a service`},
		{"key", nil, []string{"B"}, "none is given"},
	} {
		s := Stamp{TagKey: test.key, Services: test.services, Within: test.within, Published: testStamp.Published}
		err := s.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%q %v %v: error %v, want one with %q", test.key, test.services, test.within, err, test.want)
		}
	}
}

// A run reads the stamps of the last one, whatever the settings.
func TestParseStamp(t *testing.T) {
	name := rapid.StringMatching(`[A-Z0-9_]{1,12}|within|[!-+\-.-~]{1,4}`)
	rapid.Check(t, func(t *rapid.T) {
		s := Stamp{
			TagKey:    rapid.StringMatching(`[A-Za-z0-9._/=+@: -]{1,20}`).Draw(t, "tag key"),
			Services:  rapid.SliceOfN(name, 1, 4).Draw(t, "services"),
			Published: time.Unix(rapid.Int64Range(0, endOf9999).Draw(t, "published"), 0).UTC(),
		}
		s.Held = rapid.Bool().Draw(t, "held")
		if rapid.Bool().Draw(t, "a cover") {
			s.Within = rapid.SliceOfN(name, 1, 4).Draw(t, "within")
		}
		if s.Validate() != nil {
			t.Skip("EC2 does not take it")
		}
		got, ok := ParseStamp(s.TagKey, s.String())
		if diff := cmp.Diff(s, got); !ok || diff != "" {
			t.Errorf("%q is read as another stamp (%t):\n%s", s, ok, diff)
		}
	})
}

// endOf9999 is the last second that RFC 3339 can write.
const endOf9999 = 253402300799

// readable is what a stamp looks like.
var readable = regexp.MustCompile(
	`^cloudfront-ingress: [^ ,]+(,[^ ,]+)*( within [^ ,]+(,[^ ,]+)*)? \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ( held)?$`)

// Anybody may write a description: one that is read as a stamp is that stamp.
func FuzzDescription(f *testing.F) {
	for _, seed := range []string{
		"A 2026-08-22T15:17:05Z", "A,B within C 2026-08-22T15:17:05Z", "A 2026-08-22T15:17:05Z held", "A held",
		"A 2026-08-22T15:17:05Z held held", "A 2026-08-22T17:17:05+02:00", "A 2026-08-22T15:17:05.0Z",
		"A 2026-08-22T15:17:05Z ", "A  2026-08-22T15:17:05Z", "A 2026-08-22T15:17:05Z, see 7", "A, see 7 2026-08-22T15:17:05Z",
		"A, B 2026-08-22T15:17:05Z", "A,,B 2026-08-22T15:17:05Z", "A within 2026-08-22T15:17:05Z",
		"within B 2026-08-22T15:17:05Z", "A within B within C 2026-08-22T15:17:05Z", "2026-08-22T15:17:05Z", "",
		"\xff 9999-12-31T23:59:59Z ",
	} {
		f.Add(testKey, testKey+": "+seed)
		f.Add(testKey, testKey+"2: "+seed)
		f.Add(testKey, "my "+testKey+": "+seed)
	}
	f.Add(testKey, testKey+":")
	f.Add(testKey, testKey)
	f.Add("", ":")
	f.Fuzz(func(t *testing.T, key, description string) {
		if got, want := stamped(key, description), strings.HasPrefix(description, key+":"); got != want {
			t.Errorf("%q is owned by the key %q: %t", description, key, got)
		}
		s, ok := ParseStamp(key, description)
		looks := stamped(key, description) && (key != testKey || readable.MatchString(description))
		if ok && (s.String() != description || !looks) {
			t.Errorf("%q is read as %+v, which is %q", description, s, s)
		}
	})
}
