package main

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sample = `{"syncToken":"1767323045","prefixes":[{"ip_prefix":"18.64.0.0/14","service":"CLOUDFRONT"}],"ipv6_prefixes":[]}`

// A document is the same wherever it comes from, packed or not; the scripts read it from stdin.
func TestReadIPRanges(t *testing.T) {
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	_, _ = zw.Write([]byte(sample))
	zw.Close()
	packedFile := filepath.Join(t.TempDir(), "packed")
	if err := os.WriteFile(packedFile, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	failures := 1
	feed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failures > 0 {
			failures--
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed.Bytes())
		}
	}))
	t.Cleanup(feed.Close)
	for _, src := range []string{packedFile, feed.URL} {
		data, err := rangeFlags{IPRanges: src}.read(t.Context(), terminal{}, demoConfig)
		if err != nil || string(data.document) != sample {
			t.Errorf("%s: got %q, error %v", src, data.document, err)
		}
	}
}
