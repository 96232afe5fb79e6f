package secgroup

import (
	"strings"
	"testing"
	"time"
)

var published = time.Date(2026, 8, 22, 15, 17, 5, 0, time.UTC)

func TestStampString(t *testing.T) {
	for _, test := range []struct {
		name  string
		stamp Stamp
		want  string
	}{
		{"one service", Stamp{"cloudfront-ingress", []string{"CLOUDFRONT"}, published}, "cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z"},
		{"two services", Stamp{"edge", []string{"CLOUDFRONT", "ROUTE53_HEALTHCHECKS"}, published}, "edge: CLOUDFRONT,ROUTE53_HEALTHCHECKS 2026-08-22T15:17:05Z"},
		{
			"another time zone",
			Stamp{"cloudfront-ingress", []string{"CLOUDFRONT"}, published.In(time.FixedZone("", 2*60*60))},
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
	// ": ", " " and the time are 23 characters.
	longest := strings.Repeat("S", maxDescription-23-len("key"))
	for _, test := range []struct {
		name    string
		key     string
		service string
		want    string // in the error; empty for none
	}{
		{"longest", "key", longest, ""},
		{"too long by one", "key", longest + "S", "would have 256 characters, EC2 takes 255; shorten the tag key or list fewer services"},
		{"key too long by one", "keys", longest, "would have 256 characters"},
		{"every character EC2 takes", "azAZ09 ._-:/()#,@[]+=&;{}!$*", "CLOUDFRONT", ""},
		{"quotation mark", `"key"`, "CLOUDFRONT", `cannot hold '"'`},
		{"percent", "100%", "CLOUDFRONT", "cannot hold '%'"},
		{"backslash", `a\b`, "CLOUDFRONT", `cannot hold '\\'`},
		{"question mark", "key?", "CLOUDFRONT", "cannot hold '?'"},
		{"line end", "key\n", "CLOUDFRONT", `cannot hold '\n'`},
		{"letter beyond ASCII", "clé", "CLOUDFRONT", "cannot hold 'é'"},
		{"service", "key", "CLOUD~FRONT", "cannot hold '~'"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := Stamp{test.key, []string{test.service}, published}.Validate()
			if test.want == "" && err != nil {
				t.Error(err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

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

func TestPublishedIn(t *testing.T) {
	for _, test := range []struct {
		description string
		want        time.Time // zero for none
	}{
		{"cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z", published},
		{"cloudfront-ingress: A,B 2026-08-22T15:17:05Z", published},
		{"cloudfront-ingress: CLOUDFRONT 2026-08-22T17:17:05+02:00", published},
		{"cloudfront-ingress: 2026-08-22T15:17:05Z", published},
		{"cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z, see ticket 7", time.Time{}},
		{"cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05", time.Time{}},
		{"cloudfront-ingress: CLOUDFRONT 2026-08-22 15:17:05Z", time.Time{}},
		{"cloudfront-ingress: CLOUDFRONT 2026-13-22T15:17:05Z", time.Time{}},
		{"cloudfront-ingress: CLOUDFRONT 2026-08-22", time.Time{}},
		{"cloudfront-ingress: CLOUDFRONT ", time.Time{}},
		{"cloudfront-ingress:2026-08-22T15:17:05Z", time.Time{}},
		{"", time.Time{}},
	} {
		got, ok := publishedIn(test.description)
		if ok == test.want.IsZero() || ok && !got.Equal(test.want) {
			t.Errorf("%q: %v %t, want %v", test.description, got, ok, test.want)
		}
	}
}

// What a valid stamp says is read again, and as the stamp's own.
func FuzzStamp(f *testing.F) {
	f.Add("cloudfront-ingress", "CLOUDFRONT", published.Unix())
	f.Add("k", "", int64(0))
	f.Add("", "A,B", int64(253402300799)) // the end of the year 9999
	f.Add("a: b", "c 2030-01-01T00:00:00Z", int64(-1))
	f.Add("é", "%", int64(1))
	f.Fuzz(func(t *testing.T, key, service string, seconds int64) {
		if seconds < 0 || seconds > 253402300799 {
			return // RFC 3339 has no more years
		}
		s := Stamp{key, []string{service}, time.Unix(seconds, 0)}
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
		if got, ok := publishedIn(text); !ok || got.Unix() != seconds {
			t.Errorf("%q: %v %t, want %v", text, got, ok, s.Published)
		}
	})
}

// Anybody may write a description: what is read of it is what it ends with.
func FuzzDescription(f *testing.F) {
	for _, seed := range []string{
		"cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z", "cloudfront-ingress:", "cloudfront-ingress", "",
		"cloudfront-ingress: x 2026-08-22T15:17:05+02:00", "2026-08-22T15:17:05Z", "cloudfront-ingress: \xff 9999-12-31T23:59:59Z ",
	} {
		f.Add("cloudfront-ingress", seed)
	}
	f.Add("", ":")
	f.Fuzz(func(t *testing.T, key, description string) {
		if got, want := stamped(key, description), strings.HasPrefix(description, key+":"); got != want {
			t.Errorf("%q is owned by the key %q: %t", description, key, got)
		}
		words := strings.Split(description, " ")
		want, err := time.Parse(time.RFC3339, words[len(words)-1])
		if got, ok := publishedIn(description); ok != (err == nil) || ok && !got.Equal(want) {
			t.Errorf("%q: published %v %t, want %v", description, got, ok, want)
		}
	})
}
