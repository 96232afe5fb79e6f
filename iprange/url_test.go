package iprange

import "testing"

func TestValidateURL(t *testing.T) {
	for _, ok := range []string{
		DefaultURL, "https://feed.example:8443/x?y=z", "HTTPS://feed.example/",
		"http://127.0.0.1:8080/ip-ranges.json", "http://127.9.9.9/", "http://localhost:1/", "http://[::1]:8080/",
		"https://[::1]/",
	} {
		if err := ValidateURL(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for bad, word := range map[string]string{
		"":                                 "not a URL like https://ip-ranges",
		"ip-ranges.json":                   "not a URL",
		"/tmp/ip-ranges.json":              "not a URL",
		"ip-ranges.amazonaws.com:443/x":    "not a URL",
		"https://":                         "not a URL",
		"https:///ip-ranges.json":          "not a URL",
		"https://a b/":                     "not a URL",
		"%":                                "not a URL",
		"http://ip-ranges.amazonaws.com/":  "use https",
		"http://10.0.0.1/":                 "use https",
		"http://169.254.169.254/":          "use https",
		"http://0.0.0.0/":                  "use https",
		"http://localhost.example/":        "use https",
		"http://127.0.0.1.example/":        "use https",
		"file://localhost/etc/passwd":      `"file" is not supported`,
		"ftp://127.0.0.1/":                 `"ftp" is not supported`,
		"https://user:secret@feed.example": "credentials",
	} {
		checkError(t, ValidateURL(bad), word)
	}
}
