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

// Stray tags are those that differ from ours by a letter, or by case and separators only, and those of a group without
// the tag that lists the ports. One describe finds them, on an endpoint that has wildcards as EC2 has them.
func TestFindStrayTags(t *testing.T) {
	const key, pool, mode = "cloudfront-ingress", "cloudfront-ingress-pool", "cloudfront-ingress-mode"
	for _, c := range []struct {
		tagKey string
		tags   ec2sim.Tags
		rules  string            // the description of a rule, if there is one
		want   map[string]string // the stray keys, and what each is meant to be
	}{
		{key, ec2sim.Tags{key: "443", pool: "web", mode: "owned", "Name": "web"}, "", nil},
		{key, ec2sim.Tags{pool: "web", mode: "owned"}, "", map[string]string{pool: pool, mode: mode}},
		{key, ec2sim.Tags{" cloudfront-ingress": "443"}, "", map[string]string{" cloudfront-ingress": key}},
		{key, ec2sim.Tags{"CloudFront-Ingress": "443"}, "", map[string]string{"CloudFront-Ingress": key}},
		{key, ec2sim.Tags{"CLOUDFRONT-INGRESS-POOL": "443"}, "", map[string]string{"CLOUDFRONT-INGRESS-POOL": pool}},
		{key, ec2sim.Tags{"cloudfront_ingress": "443"}, "", map[string]string{"cloudfront_ingress": key}},
		{key, ec2sim.Tags{key: "443", "cloudfront-ingress-pol": "web"}, "", map[string]string{"cloudfront-ingress-pol": pool}},
		{key, ec2sim.Tags{key: "443", "cloudfront-ingress-Pool": "web"}, "", map[string]string{"cloudfront-ingress-Pool": pool}},
		{key, ec2sim.Tags{"cloudfront-ingre": "443", "cloudfront-egress": "443", "front-ingress": ""}, "", nil},
		{key, ec2sim.Tags{key + "2": "443", key + "2-pool": "web"}, key + "2: CLOUDFRONT 2026-08-22T15:17:05Z", nil},
		{"cf", ec2sim.Tags{"cd": "1", "CF": "443", "c": ""}, "", map[string]string{"CF": "cf"}},
		{"edge=a+b", ec2sim.Tags{"edge=a+c": "1"}, "", map[string]string{"edge=a+c": "edge=a+b"}},
	} {
		sim, here, api := newSim(ec2sim.Options{})
		made := ec2sim.Group{Name: "web", VPC: here.OtherVPC(), Tags: c.tags}
		if c.rules != "" {
			made.Ingress = []ec2sim.Rule{{Permission: ec2sim.TCP(443, 443, prefixes("192.0.2.0/24")[0]), Description: c.rules}}
		}
		made, err := here.CreateGroup(made)
		if err != nil {
			t.Fatal(err)
		}
		stray, err := FindStrayTags(t.Context(), api, c.tagKey)
		got := map[string]string{}
		for _, s := range stray {
			got[s.Key] = s.Meant
			if text := s.String(); !strings.Contains(text, made.ID+": the tag "+s.Key+"=") || !strings.Contains(text, c.tagKey) {
				t.Errorf("it is told as %q", text)
			}
		}
		if err != nil || !maps.Equal(got, c.want) || len(stray) != len(c.want) || len(sim.Calls()) != 1 {
			t.Errorf("%v: got %v, want %v, by calls %v, error %v", c.tags, stray, c.want, sim.Calls(), err)
		}
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
		capital := strings.ToUpper(key[:1]) + key[1:]
		for _, typed := range []string{key + "-pool", key + "_mode", strings.ToUpper(key), capital, key + "-Public"} {
			stray := StrayTags(key, []Group{{ID: "sg-1", Tags: map[string]string{typed: "443"}}})
			if len(stray) != 1 || !found(typed) {
				t.Errorf("%q for %q: got %v, found: %v", typed, key, stray, found(typed))
			}
		}
		for other := range strings.FieldsSeq("Name Environment owner aws:cloudformation:stack-name kubernetes.io/cluster/web") {
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
