package secgroup

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"

	"pgregory.net/rapid"
)

func TestStrayTags(t *testing.T) {
	const key = "cloudfront-ingress"
	other := []Rule{{Description: "cloudfront-ingress2: CLOUDFRONT 2026-08-22T15:17:05Z"}}
	for _, c := range []struct {
		tagKey  string
		tags    map[string]string
		ingress []Rule
		want    map[string]string // the stray keys, and what each is meant to be
	}{
		{key, map[string]string{key: "443", key + "-pool": "web", key + "-mode": "owned", "Name": "web"}, nil, nil},
		{
			key,
			map[string]string{key + "-pool": "web", key + "-mode": "owned"},
			nil,
			map[string]string{key + "-pool": key + "-pool", key + "-mode": key + "-mode"},
		},
		{key, map[string]string{"cloudfront-ingres": "443"}, nil, map[string]string{"cloudfront-ingres": key}},
		{key, map[string]string{"cloudfront-inggress": "443"}, nil, map[string]string{"cloudfront-inggress": key}},
		{key, map[string]string{" cloudfront-ingress": "443"}, nil, map[string]string{" cloudfront-ingress": key}},
		{key, map[string]string{"cloudfront-ingresz": "443"}, nil, map[string]string{"cloudfront-ingresz": key}},
		{key, map[string]string{"cloudfrnot-ingress": "443"}, nil, map[string]string{"cloudfrnot-ingress": key}},
		{key, map[string]string{"CloudFront-Ingress": "443"}, nil, map[string]string{"CloudFront-Ingress": key}},
		{key, map[string]string{"cloudfront_ingress": "443"}, nil, map[string]string{"cloudfront_ingress": key}},
		{key, map[string]string{key: "443", "cloudfront-ingress-pol": "web"}, nil, map[string]string{"cloudfront-ingress-pol": key + "-pool"}},
		{key, map[string]string{key: "443", "cloudfront-ingress-Pool": "web"}, nil, map[string]string{"cloudfront-ingress-Pool": key + "-pool"}},
		{key, map[string]string{"cloudfront-ingre": "443", "cloudfront-egress": "443", "front-ingress": ""}, nil, nil},
		{key, map[string]string{"cloudfront-ingress2": "443", "cloudfront-ingress2-pool": "web"}, other, nil},
		{"cf", map[string]string{"cd": "1", "CF": "443", "c": ""}, nil, map[string]string{"CF": "cf"}},
		{"edge=a+b", map[string]string{"edge=a+c": "1"}, nil, map[string]string{"edge=a+c": "edge=a+b"}},
	} {
		g := Group{ID: "sg-1", Tags: c.tags, Ingress: c.ingress}
		got := map[string]string{}
		stray := StrayTags(c.tagKey, []Group{g, g})
		for _, s := range stray {
			got[s.Key] = s.Meant
			if text := s.String(); !strings.Contains(text, "sg-1: the tag "+s.Key+"=") || !strings.Contains(text, c.tagKey) {
				t.Errorf("it is told as %q", text)
			}
		}
		if !maps.Equal(got, c.want) || len(stray) != len(c.want) {
			t.Errorf("%v: got %v, want %v", c.tags, stray, c.want)
		}
	}
}

// One describe finds them, on an endpoint that has wildcards as EC2 has them.
func TestFindStrayTags(t *testing.T) {
	sim, _, api := newSim(ec2sim.Options{})
	if err := sim.Seed(strings.NewReader(`{"groups": [
	  {"name": "right", "tags": {"cloudfront-ingress": "443"}},
	  {"name": "a", "tags": {"cloudfront-ingres": "443"}}, {"name": "b", "tags": {"CloudFront-Ingress": "443"}},
	  {"name": "c", "tags": {"cloudfront-ingress-pool": "web"}}, {"name": "d", "tags": {"cloudfront-ingress": "443", "cloudfront-ingress-Pool": "web"}},
	  {"name": "e", "tags": {"cloudfront_ingress": "443"}}, {"name": "f", "tags": {"cloudfornt-ingress": "443"}},
	  {"name": "g", "tags": {"CLOUDFRONT-INGRESS-POOL": "443"}}, {"name": "other", "tags": {"ingress.k8s.aws/stack": "x"}}
	]}`)); err != nil {
		t.Fatal(err)
	}
	stray, err := FindStrayTags(t.Context(), api, "cloudfront-ingress")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range stray {
		names = append(names, s.GroupName)
	}
	slices.Sort(names)
	if want := []string{"a", "b", "c", "d", "e", "f", "g"}; !slices.Equal(names, want) {
		t.Errorf("stray tags at %v, want %v", names, want)
	}
	if calls := sim.Calls(); len(calls) != 1 {
		t.Errorf("%d calls: %v", len(calls), calls)
	}
}

// Whatever letter of the tag key is mistyped, the patterns find it.
func TestPatternsFindEveryMistake(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching(`[a-z][a-z0-9.-]{4,40}`).Draw(t, "key")
		meant := key + rapid.SampledFrom([]string{"", "-pool", "-mode"}).Draw(t, "suffix")
		i := rapid.IntRange(0, len(key)-1).Draw(t, "at") // in the key, not in its suffix
		letter := rapid.StringMatching(`[a-zA-Z_]`).Draw(t, "letter")
		var typed string
		switch rapid.IntRange(0, 3).Draw(t, "mistake") {
		case 0:
			typed = meant[:i] + meant[i+1:]
		case 1:
			typed = meant[:i] + letter + meant[i:]
		case 2:
			typed = meant[:i] + letter + meant[i+1:]
		case 3:
			if i+1 == len(meant) {
				return
			}
			typed = meant[:i] + meant[i+1:i+2] + meant[i:i+1] + meant[i+2:]
		}
		if typed == meant || typed == key {
			return
		}
		stray := StrayTags(key, []Group{{ID: "sg-1", Tags: map[string]string{typed: "443"}}})
		if len(stray) != 1 || stray[0].Key != typed {
			t.Fatalf("%q for %q: got %v", typed, meant, stray)
		}
		if !slices.ContainsFunc(patternsLike(key), func(p string) bool { return matches(p, typed) }) {
			t.Fatalf("no pattern matches %q, which was meant to be %q", typed, meant)
		}
	})
}

// The patterns of a short tag key find its other spellings, and not every group that has a name.
func TestPatternsOfShortKeys(t *testing.T) {
	for _, key := range []string{"c", "cf", "web", "edge"} {
		found := func(typed string) bool {
			return slices.ContainsFunc(patternsLike(key), func(p string) bool { return matches(p, typed) })
		}
		for _, typed := range []string{key + "-pool", key + "_mode", strings.ToUpper(key), strings.ToUpper(key[:1]) + key[1:], key + "-Public"} {
			if stray := StrayTags(key, []Group{{ID: "sg-1", Tags: map[string]string{typed: "443"}}}); len(stray) != 1 || !found(typed) {
				t.Errorf("%q for %q: got %v, found: %v", typed, key, stray, found(typed))
			}
		}
		for _, other := range []string{"Name", "Environment", "owner", "aws:cloudformation:stack-name", "kubernetes.io/cluster/web"} {
			if found(other) {
				t.Errorf("the patterns of %q match %q", key, other)
			}
		}
	}
}

// matches reports whether EC2's filter has the pattern match a key: * is any characters, ? one or none.
func matches(pattern, key string) bool {
	expression := strings.NewReplacer(`\?`, ".?", `\*`, ".*").Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile(`^` + expression + `$`).MatchString(key)
}
