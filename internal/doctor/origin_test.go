package doctor

import (
	"strings"
	"testing"
)

func TestParseOrigin(t *testing.T) {
	cases := []struct {
		text, url   string
		port, other uint16
	}{
		{"origin.example.com", "https://origin.example.com/", 443, 80},
		{"Origin.Example.COM/a?b=C#d", "https://origin.example.com/a?b=C", 443, 80},
		{"origin.example.com:8443", "https://origin.example.com:8443/", 8443, 0},
		{"http://origin.example.com", "http://origin.example.com/", 80, 443},
		{"http://origin.example.com:80/", "http://origin.example.com:80/", 80, 0},
		{"HTTPS://[2600::1]:65535/", "https://[2600::1]:65535/", 65535, 0},
		{"2600::1", "https://[2600::1]/", 443, 80},
		{"https://192.0.2.1/%2e", "https://192.0.2.1/%2e", 443, 80},
	}
	for _, c := range cases {
		o, err := ParseOrigin(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if o.String() != c.url || o.Port != c.port || o.Other != c.other {
			t.Errorf("%s: got %s %d %d, want %s %d %d", c.text, o, o.Port, o.Other, c.url, c.port, c.other)
		}
	}
}

func TestParseOriginRefuses(t *testing.T) {
	cases := map[string]string{
		"":                              "no host",
		"https://":                      "no host",
		"https:///path":                 "no host",
		"ftp://origin.example.com/":     "ftp is not a scheme",
		"https://o.example.com:0/":      `"0" is not a port`,
		"https://o.example.com:65536/":  `"65536" is not a port`,
		"https://o.example.com:/":       `"" is not a port`,
		"https://o.example.com:http/":   "not a URL",
		"https://user:hunter2@o.com/":   "credentials",
		"https://hunter2@o.com/":        "credentials",
		"user:hunter2@o.com":            "credentials",
		"https://user:hunter2%zz@o.com": "not a URL",
		"https://user:hunter2@o.com:x/": "not a URL",
		"https://bücher.example/":       "xn--",
		"https://a b/":                  "not a URL",
		"https://o.example.com/\x7f":    "not a URL",
	}
	for text, want := range cases {
		_, err := ParseOrigin(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error tells the password: %v", text, err)
		}
	}
}

// Whatever is typed is refused, or can be asked for, and no password is ever told.
func FuzzParseOrigin(f *testing.F) {
	for _, seed := range []string{"o.example.com", "https://u:p@o/", "http://[::1]:80/x", "https://u:%@o", "::1", "a:b:c", "//@:0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseOrigin(text)
		if err != nil {
			if i := strings.LastIndex(text, "@"); i > 8 && strings.Contains(err.Error(), text[:i]) {
				t.Errorf("the error tells the credentials: %v", err)
			}
			return
		}
		if o.URL.User != nil || o.Name() == "" || o.Port == 0 || !strings.HasPrefix(o.URL.Path, "/") {
			t.Errorf("%q: %+v", text, o)
		}
		if again, err := ParseOrigin(o.String()); err != nil || again.String() != o.String() {
			t.Errorf("%q: %s is read as %s, %v", text, o, again, err)
		}
	})
}

func TestCheckHost(t *testing.T) {
	for _, host := range []string{"www.example.com", "www.example.com:8443", "192.0.2.1", "[2600::1]:443"} {
		if err := CheckHost(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"a b", "https://www.example.com", "user@www.example.com", "www.example.com/x", "www.example.com:0", "www.example.com:99999", ":80", "a\r\nb"} {
		if CheckHost(host) == nil {
			t.Errorf("%q is accepted", host)
		}
	}
}
