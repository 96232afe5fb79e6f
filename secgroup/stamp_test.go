package secgroup

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var published = time.Date(2026, 8, 22, 15, 17, 5, 0, time.UTC)

func TestStampString(t *testing.T) {
	for _, test := range []struct {
		name  string
		stamp Stamp
		want  string
	}{
		{"one service", Stamp{TagKey: "cloudfront-ingress", Services: []string{"CLOUDFRONT"}, Published: published}, "cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z"},
		{"two services", Stamp{TagKey: "edge", Services: []string{"CLOUDFRONT", "ROUTE53_HEALTHCHECKS"}, Published: published}, "edge: CLOUDFRONT,ROUTE53_HEALTHCHECKS 2026-08-22T15:17:05Z"},
		{
			"a cover",
			Stamp{TagKey: "cloudfront-ingress", Services: []string{"CLOUDFRONT_ORIGIN_FACING"}, Within: []string{"CLOUDFRONT"}, Published: published},
			"cloudfront-ingress: CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT 2026-08-22T15:17:05Z",
		},
		{
			"a cover of two services within two",
			Stamp{TagKey: "edge", Services: []string{"A", "B"}, Within: []string{"C", "D"}, Published: published},
			"edge: A,B within C,D 2026-08-22T15:17:05Z",
		},
		{
			"another time zone",
			Stamp{TagKey: "cloudfront-ingress", Services: []string{"CLOUDFRONT"}, Published: published.In(time.FixedZone("", 2*60*60))},
			"cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.stamp.String(); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if err := test.stamp.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStampValidate(t *testing.T) {
	// ": ", " ", the time and " held", which a run may add, are 28 characters.
	longest := strings.Repeat("S", maxDescription-28-len("key"))
	for _, test := range []struct {
		name    string
		key     string
		service string
		want    string // in the error; empty for none
	}{
		{"longest", "key", longest, ""},
		{"too long by one", "key", longest + "S", "would have 256 characters, but EC2 accepts 255; shorten the tag key, or list fewer services"},
		{"key too long by one", "keys", longest, "would have 256 characters"},
		{"every character EC2 takes", "azAZ09 ._-:/()#,@[]+=&;{}!$*", "CLOUDFRONT", ""},
		{"quotation mark", `"key"`, "CLOUDFRONT", `cannot contain '"'`},
		{"percent", "100%", "CLOUDFRONT", "cannot contain '%'"},
		{"backslash", `a\b`, "CLOUDFRONT", `cannot contain '\\'`},
		{"question mark", "key?", "CLOUDFRONT", "cannot contain '?'"},
		{"line end", "key\n", "CLOUDFRONT", `cannot contain '\n'`},
		{"letter beyond ASCII", "clé", "CLOUDFRONT", "cannot contain 'é'"},
		{"service", "key", "CLOUD~FRONT", "cannot contain '~'"},
		{"service with a space", "key", "CLOUD FRONT", `"CLOUD FRONT" cannot be a service`},
		{"service with a comma", "key", "CLOUD,FRONT", `"CLOUD,FRONT" cannot be a service`},
		{"service without a name", "key", "", `"" cannot be a service`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := Stamp{TagKey: test.key, Services: []string{test.service}, Published: published}.Validate()
			if test.want == "" && err != nil {
				t.Error(err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestStampValidateWithin(t *testing.T) {
	s := Stamp{TagKey: "key", Services: []string{"A"}, Within: []string{"B C"}, Published: published}
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), `"B C" cannot be a service`) {
		t.Errorf("error %v", err)
	}
	// "key: A within ", " ", the time and " held" are 40 characters.
	s.Within = []string{strings.Repeat("B", maxDescription-40)}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	s.Within[0] += "B"
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "would have 256 characters") {
		t.Errorf("error %v", err)
	}
	s.Services = nil
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "none is given") {
		t.Errorf("error %v", err)
	}
}

func TestParseStamp(t *testing.T) {
	const key = "cloudfront-ingress"
	for _, test := range []struct {
		description string
		want        *Stamp // nil for none
	}{
		{key + ": CLOUDFRONT 2026-08-22T15:17:05Z", &Stamp{Services: []string{"CLOUDFRONT"}}},
		{key + ": A,B 2026-08-22T15:17:05Z", &Stamp{Services: []string{"A", "B"}}},
		{key + ": A,B within C,D 2026-08-22T15:17:05Z", &Stamp{Services: []string{"A", "B"}, Within: []string{"C", "D"}}},
		{key + ": within within within 2026-08-22T15:17:05Z", &Stamp{Services: []string{"within"}, Within: []string{"within"}}},
		{key + ": within 2026-08-22T15:17:05Z", &Stamp{Services: []string{"within"}}},
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

func TestStamped(t *testing.T) {
	for _, test := range []struct {
		description string
		want        bool
	}{
		{"cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z", true},
		{"cloudfront-ingress: by hand", true},
		{"cloudfront-ingress:", true},
		{"cloudfront-ingress:x", true},
		{"cloudfront-ingress", false},
		{"cloudfront-ingress CLOUDFRONT", false},
		{"cloudfront-ingress : x", false},
		{"cloudfront-ingress2: x", false},
		{"cloudfront-ingress-pool: x", false},
		{"cloudfront-ingres: x", false},
		{"cloudfront: x", false},
		{" cloudfront-ingress: x", false},
		{"my cloudfront-ingress: x", false},
		{"Cloudfront-ingress: x", false},
		{"", false},
		{":", false},
	} {
		if got := stamped("cloudfront-ingress", test.description); got != test.want {
			t.Errorf("%q is owned: %t, want %t", test.description, got, test.want)
		}
	}
}

// ParseStamp reads what a valid stamp writes.
func FuzzStamp(f *testing.F) {
	f.Add("cloudfront-ingress", "CLOUDFRONT", "", published.Unix())
	f.Add("cloudfront-ingress", "CLOUDFRONT_ORIGIN_FACING", "CLOUDFRONT", published.Unix())
	f.Add("k", "", "", int64(0))
	f.Add("", "A,B", "within", int64(endOf9999))
	f.Add("a: b", "c 2030-01-01T00:00:00Z", "", int64(-1))
	f.Add("é", "%", "x", int64(1))
	f.Fuzz(func(t *testing.T, key, service, cover string, seconds int64) {
		if seconds < 0 || seconds > endOf9999 {
			return
		}
		s := Stamp{TagKey: key, Services: []string{service}, Published: time.Unix(seconds, 0).UTC()}
		if cover != "" {
			s.Within = []string{"FIRST", cover}
		}
		text := s.String()
		if err := s.Validate(); err != nil {
			return
		}
		if len(text) > 255 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789. _-:/()#,@[]+=&;{}!$*") != "" {
			t.Errorf("EC2 does not take %q", text)
		}
		if !stamped(key, text) || stamped(key+"2", text) {
			t.Errorf("owner of %q is not told by the key %q", text, key)
		}
		if got, ok := ParseStamp(key, text); !ok || !cmp.Equal(s, got) {
			t.Errorf("%q is read as %+v (%t), want %+v", text, got, ok, s)
		}
	})
}

// Anybody may write a description: one that is read as a stamp is that stamp.
func FuzzDescription(f *testing.F) {
	for _, seed := range []string{
		"cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z", "cloudfront-ingress:", "cloudfront-ingress", "",
		"cloudfront-ingress: A,B within C 2026-08-22T15:17:05Z", "cloudfront-ingress: x 2026-08-22T15:17:05+02:00", "2026-08-22T15:17:05Z", "cloudfront-ingress: \xff 9999-12-31T23:59:59Z ",
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
