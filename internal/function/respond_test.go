package function

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestResponseURL(t *testing.T) {
	const response = "cloudformation-custom-resource-response-"
	s3 := []string{
		response + "useast1.s3.amazonaws.com", response + "useast1.s3.us-east-1.amazonaws.com",
		response + "euwest1.s3-eu-west-1.amazonaws.com", response + "euwest1.s3.eu-west-1.amazonaws.com:443",
		response + "euwest1.s3.dualstack.eu-west-1.amazonaws.com", response + "useast1.s3-external-1.amazonaws.com",
		response + "cnnorth1.s3.cn-north-1.amazonaws.com.cn", response + "usgovwest1.s3-fips.us-gov-west-1.amazonaws.com",
		"x.s3.eusc-de-east-1.amazonaws.eu", "s3.ap-southeast-2.amazonaws.com", "s3.amazonaws.com",
	}
	others := []string{
		"example.com", "s3.amazonaws.com.example.com", "s3.amazonaws.org", "amazonaws.com", "evils3.amazonaws.com",
		"x.execute-api.us-east-1.amazonaws.com", "s3-123456.us-east-1.elb.amazonaws.com", "s3.us-east-1.elb.amazonaws.com",
		"x.s3.amazonaws.com:8443", "user:password@x.s3.amazonaws.com", "ec2-1-2-3-4.eu-west-1.compute.amazonaws.com",
		"169.254.169.254", "localhost", "10.0.0.1", "x.s3-website-us-east-1.amazonaws.com", "x.s3.us-east-1.amazonaws.com.",
		`X.S3.AMAZONAWS.COM\@example.com`, "x.s3.us-east-1.vpce.amazonaws.com.attacker.test",
	}
	for _, scheme := range []string{"https", "http"} {
		for i, host := range slices.Concat(s3, others) {
			u, err := url.Parse(scheme + "://" + host + "/key?Signature=" + signature)
			if err == nil {
				err = newResponder(false).check(u)
				if err != nil && strings.Contains(err.Error(), signature) {
					t.Errorf("the error shows the URL: %v", err)
				}
			}
			if (err == nil) != (i < len(s3) && scheme == "https") {
				t.Errorf("%s://%s: %v", scheme, host, err)
			}
		}
	}
	// This machine is for tests, in which the ranges come from it as well.
	for _, s := range []string{"http://127.0.0.1:9001/2018-06-01/runtime", "http://[::1]/", "https://127.0.0.1/"} {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		if newResponder(false).check(u) == nil || newResponder(true).check(u) != nil {
			t.Errorf("%s is not for tests alone", s)
		}
	}
}

// bucket is a fake of the response URL. It answers as told, and keeps what it was sent.
type bucket struct {
	*httptest.Server
	mu      sync.Mutex
	bodies  []string
	answers []http.HandlerFunc // the last for all further requests; none answers 200
}

func newBucket(t *testing.T, answers ...http.HandlerFunc) *bucket {
	b := &bucket{answers: answers}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	b.bodies = append(b.bodies, r.Method+" "+r.Header.Get("Content-Type")+" "+string(body))
	var answer http.HandlerFunc
	if len(b.answers) > 0 {
		answer = b.answers[0]
		b.answers = b.answers[min(1, len(b.answers)-1):]
	}
	b.mu.Unlock()
	if answer != nil {
		answer(w, r)
	}
}

// sent returns what the bucket was sent, request by request.
func (b *bucket) sent() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bodies
}

func (b *bucket) url(t *testing.T) *url.URL {
	u, err := url.Parse(b.URL + "/key?Signature=" + signature)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func ok(http.ResponseWriter, *http.Request) {}

func TestPut(t *testing.T) {
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://example.com/", http.StatusTemporaryRedirect)
	}
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for _, test := range []struct {
		name     string
		answers  []http.HandlerFunc
		attempts int
		err      string
	}{
		{"at once", nil, 1, ""},
		{"refused once", []http.HandlerFunc{status(403), ok}, 2, ""},
		{"errors, then fine", []http.HandlerFunc{status(500), status(503), status(500), ok}, 4, ""},
		{"always an error", []http.HandlerFunc{status(500)}, putAttempts, "500 Internal Server Error"},
		{"always refused", []http.HandlerFunc{status(403)}, putAttempts, "403 Forbidden"},
		{"redirects", []http.HandlerFunc{redirect}, putAttempts, "307 Temporary Redirect"},
		{"cut", []http.HandlerFunc{cut}, putAttempts, "put to 127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBucket(t, test.answers...)
			r := newResponder(true)
			r.pause = time.Millisecond
			err := r.put(t.Context(), b.url(t), []byte(`{"Status":"SUCCESS"}`))
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if err != nil && strings.Contains(err.Error(), signature) {
				t.Errorf("the error shows the URL: %v", err)
			}
			if sent := b.sent(); len(sent) != test.attempts || sent[0] != `PUT  {"Status":"SUCCESS"}` {
				t.Errorf("it was sent %q", sent)
			}
		})
	}
}

// An attempt that hangs leaves time for the others, however little there is.
func TestPutHangs(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	b := newBucket(t, hang, hang, ok)
	r := newResponder(true)
	r.pause = time.Millisecond
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), putReserve+400*time.Millisecond)
	defer cancel()
	if err := r.put(ctx, b.url(t), []byte(`{}`)); err != nil {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > putReserve+400*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}
