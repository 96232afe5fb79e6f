package secgroup

import (
	"maps"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"pgregory.net/rapid"
)

// tagged makes a group with tags and perhaps rules on an endpoint that has wildcards as EC2 has them.
func tagged(t rapid.TB, tags ec2sim.Tags, rules ...ec2sim.Rule) (sim *ec2sim.Server, api *ec2.Client, id string) {
	sim, here, api := newSim(ec2sim.Options{})
	g, err := here.CreateGroup(ec2sim.Group{Name: "web", VPC: here.OtherVPC(), Tags: tags, Ingress: rules})
	if err != nil {
		t.Fatal(err)
	}
	return sim, api, g.ID
}

// Stray tags are those that differ from ours by a letter, or by case and separators only, and those of a group without
// the tag that lists the ports. One describe finds them.
func TestFindStrayTags(t *testing.T) {
	const key, pool, mode = "cloudfront-ingress", "cloudfront-ingress-pool", "cloudfront-ingress-mode"
	for _, c := range []struct {
		tagKey string
		tags   ec2sim.Tags
		rule   string            // the description of one
		want   map[string]string // the stray keys, and what each is meant to be
	}{
		{key, ec2sim.Tags{key: "443", pool: "web", mode: "owned", "Name": "web"}, "", nil},
		{key, ec2sim.Tags{pool: "web", mode: "owned"}, "", map[string]string{pool: pool, mode: mode}},
		{key, ec2sim.Tags{" cloudfront-ingress": "443"}, "", map[string]string{" cloudfront-ingress": key}},
		{key, ec2sim.Tags{"CloudFront-Ingress": "443"}, "", map[string]string{"CloudFront-Ingress": key}},
		{key, ec2sim.Tags{"CLOUDFRONT-INGRESS-POOL": "443"}, "", map[string]string{"CLOUDFRONT-INGRESS-POOL": pool}},
		{key, ec2sim.Tags{"cloudfront_ingress": "443"}, "", map[string]string{"cloudfront_ingress": key}},
		{key, ec2sim.Tags{key: "443", key + "-pol": "web"}, "", map[string]string{key + "-pol": pool}},
		{key, ec2sim.Tags{key: "443", key + "-Pool": "web"}, "", map[string]string{key + "-Pool": pool}},
		{key, ec2sim.Tags{"cloudfront-ingre": "443", "cloudfront-egress": "443", "front-ingress": ""}, "", nil},
		{key, ec2sim.Tags{key + "2": "443", key + "2-pool": "web"}, key + "2: CLOUDFRONT 2026-08-22T15:17:05Z", nil},
		{"cf", ec2sim.Tags{"cd": "1", "CF": "443", "c": ""}, "", map[string]string{"CF": "cf"}},
		{"edge=a+b", ec2sim.Tags{"edge=a+c": "1"}, "", map[string]string{"edge=a+c": "edge=a+b"}},
	} {
		rule := ec2sim.Rule{Permission: ec2sim.TCP(443, 443, prefixes("192.0.2.0/24")[0]), Description: c.rule}
		sim, api, id := tagged(t, c.tags, rule)
		stray, err := FindStrayTags(t.Context(), api, c.tagKey)
		got := map[string]string{}
		for _, s := range stray {
			got[s.Key] = s.Meant
			if text := s.String(); !strings.Contains(text, id+": the tag "+s.Key+"=") || !strings.Contains(text, c.tagKey) {
				t.Errorf("it is told as %q", text)
			}
		}
		if err != nil || !maps.Equal(got, c.want) || len(stray) != len(c.want) || len(sim.Calls()) != 1 {
			t.Errorf("%v: got %v, want %v, by calls %v, error %v", c.tags, stray, c.want, sim.Calls(), err)
		}
	}
}

// Whatever letter of the tag key is mistyped, the tag is found.
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
		_, api, _ := tagged(t, ec2sim.Tags{typed: "443"})
		stray, err := FindStrayTags(t.Context(), api, key)
		if err != nil || len(stray) != 1 || stray[0].Key != typed {
			t.Fatalf("%q for %q: got %v, %v", typed, meant, stray, err)
		}
	})
}

// The patterns of a short tag key find its other spellings, and not every group that has a name.
func TestPatternsOfShortKeys(t *testing.T) {
	for _, key := range []string{"c", "cf", "web", "edge"} {
		capital := strings.ToUpper(key[:1]) + key[1:]
		for _, typed := range []string{key + "-pool", key + "_mode", strings.ToUpper(key), capital, key + "-Public"} {
			_, api, _ := tagged(t, ec2sim.Tags{typed: "443"})
			if stray, err := FindStrayTags(t.Context(), api, key); err != nil || len(stray) != 1 {
				t.Errorf("%q for %q: got %v, %v", typed, key, stray, err)
			}
		}
		_, api, _ := tagged(t, ec2sim.Tags{"Name": "", "Environment": "", "owner": "", "kubernetes.io/cluster/web": ""})
		if found, err := describe(t.Context(), api, "", "tag-key", patternsLike(key)); err != nil || len(found) > 0 {
			t.Errorf("the patterns of %q match one of %v, %v", key, found, err)
		}
	}
}
