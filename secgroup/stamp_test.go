package secgroup

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var published = time.Date(2026, 8, 22, 15, 17, 5, 0, time.UTC)

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
		err := Stamp{TagKey: test.key, Services: test.services, Within: test.within, Published: published}.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%q %v %v: error %v, want one with %q", test.key, test.services, test.within, err, test.want)
		}
	}
}

func TestParseStamp(t *testing.T) {
	const key = "cloudfront-ingress"
	for _, test := range []struct {
		description string
		want        *Stamp // nil for none
	}{
		{key + ": A,B within C,D 2026-08-22T15:17:05Z", &Stamp{Services: []string{"A", "B"}, Within: []string{"C", "D"}}},
		{key + ": CLOUDFRONT 2026-08-22T15:17:05Z held", &Stamp{Services: []string{"CLOUDFRONT"}, Held: true}},
		{key + ": CLOUDFRONT 2026-08-22T15:17:05Z held held", nil},
		{key + ": CLOUDFRONT held", nil},
		{key + ": CLOUDFRONT 2026-08-22T17:17:05+02:00", nil}, // the same time, and not as it is written here
		{key + ": CLOUDFRONT 2026-08-22T15:17:05.0Z", nil},
		{key + ": CLOUDFRONT 2026-08-22T15:17:05Z ", nil},
		{key + ": CLOUDFRONT  2026-08-22T15:17:05Z", nil},
		{key + ": CLOUDFRONT 2026-08-22T15:17:05Z, see ticket 7", nil},
		{key + ": CLOUDFRONT, see ticket 7 2026-08-22T15:17:05Z", nil},
		{key + ": A, B 2026-08-22T15:17:05Z", nil},
		{key + ": A,,B 2026-08-22T15:17:05Z", nil},
		{key + ": A within 2026-08-22T15:17:05Z", nil},
		{key + ": A within B within C 2026-08-22T15:17:05Z", nil},
		{key + ": within B 2026-08-22T15:17:05Z", nil},
		{key + ": 2026-08-22T15:17:05Z", nil},
		{key + ": ", nil},
		{key + ":", nil},
		{key, nil},
		{"", nil},
		{key + "2: CLOUDFRONT 2026-08-22T15:17:05Z", nil},
		{"my " + key + ": CLOUDFRONT 2026-08-22T15:17:05Z", nil},
	} {
		got, ok := ParseStamp(key, test.description)
		if test.want != nil {
			test.want.TagKey, test.want.Published = key, published
		} else {
			test.want = new(Stamp)
		}
		if ok == test.want.Published.IsZero() || !cmp.Equal(*test.want, got) {
			t.Errorf("%q: %t %+v, want %+v", test.description, ok, got, *test.want)
		}
	}
}

// A run reads the stamps of the last one, whatever the settings.
func TestParseStampProperty(t *testing.T) {
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

// Anybody may write a description: one that is read as a stamp is that stamp.
func FuzzDescription(f *testing.F) {
	for _, seed := range []string{
		"cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z", "cloudfront-ingress:", "cloudfront-ingress", "",
		"cloudfront-ingress: A,B within C 2026-08-22T15:17:05Z", "cloudfront-ingress: x 2026-08-22T15:17:05+02:00",
		"2026-08-22T15:17:05Z", "cloudfront-ingress: \xff 9999-12-31T23:59:59Z ",
	} {
		f.Add("cloudfront-ingress", seed)
	}
	f.Add("", ":")
	f.Fuzz(func(t *testing.T, key, description string) {
		if got, want := stamped(key, description), strings.HasPrefix(description, key+":"); got != want {
			t.Errorf("%q is owned by the key %q: %t", description, key, got)
		}
		if s, ok := ParseStamp(key, description); ok && (s.String() != description || !stamped(key, description)) {
			t.Errorf("%q is read as %+v, which is %q", description, s, s)
		}
	})
}
