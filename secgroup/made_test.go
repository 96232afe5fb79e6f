package secgroup

import "testing"

func TestMadeFor(t *testing.T) {
	for description, want := range map[string]string{
		testStamp.String(): "CLOUDFRONT",
		testKey + ": CLOUDFRONT,S3 2026-08-22T15:17:05Z":                              "CLOUDFRONT,S3",
		testKey + ": CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT 2026-08-22T15:17:05Z": "CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT",
		testKey + ": CLOUDFRONT":                                                      "",
		testKey + ": CLOUDFRONT yesterday":                                            "",
		testKey + ": 2026-08-22T15:17:05Z":                                            "",
		testKey + ": do not touch 2026-08-22T15:17:05Z":                               "",
		"office": "",
		"another-key: CLOUDFRONT 2026-08-22T15:17:05Z": "",
	} {
		if got := MadeFor(testKey, description); got != want {
			t.Errorf("%q: got %q, want %q", description, got, want)
		}
	}
}
