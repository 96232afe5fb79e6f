package iprange

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	feedURL = "https://feed.example/ip-ranges.json"
	oldFile = "1787411825"
	newFile = "1787412000"
)

// feed is a server in memory. It gives its answers in turn, and the last one from then on.
type feed struct {
	answers  []answer
	requests []*http.Request
	times    []time.Time
}

type answer func(*http.Request) (*http.Response, error)

func (f *feed) RoundTrip(r *http.Request) (*http.Response, error) {
	f.requests = append(f.requests, r)
	f.times = append(f.times, time.Now())
	return f.answers[min(len(f.requests), len(f.answers))-1](r)
}

// status answers with a status and a body.
func status(code int, body string, headers ...string) answer {
	return func(r *http.Request) (*http.Response, error) {
		return respond(r, code, strings.NewReader(body), headers...), nil
	}
}

func respond(r *http.Request, code int, body io.Reader, headers ...string) *http.Response {
	h := http.Header{}
	for pair := range slices.Chunk(headers, 2) {
		h.Set(pair[0], pair[1])
	}
	return &http.Response{
		StatusCode: code, Status: fmt.Sprint(code, " ", http.StatusText(code)),
		Header: h, Body: io.NopCloser(body), ContentLength: -1, Request: r,
	}
}

// file answers with the small document of the sync token, or says that it has not changed.
func file(token string) answer {
	return func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("If-None-Match") == `"`+token+`"` {
			return respond(r, http.StatusNotModified, http.NoBody), nil
		}
		return respond(r, http.StatusOK, strings.NewReader(document(token)), "ETag", `"`+token+`"`, "Last-Modified", "at "+token), nil
	}
}

// broken fails to answer.
func broken(err error) answer {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// hanging answers only when the request is given up.
func hanging(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// cut answers with a file whose end is missing, as net/http reports it.
func cut(r *http.Request) (*http.Response, error) {
	body := io.MultiReader(strings.NewReader(document(oldFile)[:100]), errReader{io.ErrUnexpectedEOF})
	return respond(r, http.StatusOK, body), nil
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// notice announces the small document of the sync token.
func notice(token string) *Notice {
	return &Notice{SyncToken: token, MD5: md5Of(document(token))}
}

// inBubble runs a test of a fetcher with a feed, in which waiting takes no time.
func inBubble(t *testing.T, test func(t *testing.T, f *Fetcher, feed *feed), answers ...answer) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		feed := &feed{answers: answers}
		test(t, &Fetcher{URL: feedURL, Selection: cloudfront, Transport: feed}, feed)
	})
}

func checkFetched(t *testing.T, p *Publication, err error, token string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if p.SyncToken != token || len(p.Merged()) != 2 {
		t.Fatalf("fetched %+v, want sync token %s", p, token)
	}
}

func TestFetch(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		p, err := f.Fetch(t.Context(), nil)
		checkFetched(t, p, err, oldFile)
		r := feed.requests[0]
		if r.Method != http.MethodGet || r.URL.String() != feedURL || r.Header.Get("User-Agent") != "cloudfront-sg-sync" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		if names := slices.Sorted(maps.Keys(r.Header)); !slices.Equal(names, []string{"User-Agent"}) {
			t.Errorf("headers of a first request: %q", names)
		}
	}, file(oldFile))
}

func TestFetchAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		first, err := f.Fetch(t.Context(), nil)
		checkFetched(t, first, err, oldFile)
		second, err := f.Fetch(t.Context(), nil)
		if err != nil || second != first {
			t.Errorf("unchanged: %v, %v", second, err)
		}
		h := feed.requests[1].Header
		if h.Get("If-None-Match") != `"`+oldFile+`"` || h.Get("If-Modified-Since") != "at "+oldFile {
			t.Errorf("not conditional: %v", h)
		}
		third, err := f.Fetch(t.Context(), nil)
		checkFetched(t, third, err, newFile)
	}, file(oldFile), file(oldFile), file(newFile))
}

func TestFetchFailureKeepsWhatIsHeld(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fetcher, _ *feed) {
		f.Attempts = 1
		first, err := f.Fetch(t.Context(), nil)
		checkFetched(t, first, err, oldFile)
		for _, word := range []string{"404", "cut short", "no IPv4"} {
			_, err := f.Fetch(t.Context(), nil)
			checkError(t, err, word)
		}
		p, err := f.Fetch(t.Context(), nil)
		if err != nil || p != first {
			t.Errorf("%v, %v", p, err)
		}
	}, file(oldFile), status(404, ""), status(200, `{"syncToken":"1"`, "ETag", "wrong"),
		status(200, lists("", ""), "ETag", "wrong"), file(oldFile))
}

func TestFetchRetries(t *testing.T) {
	for name, failure := range map[string]answer{
		"500":                  status(500, "internal error"),
		"503":                  status(503, ""),
		"429":                  status(429, ""),
		"network":              broken(errors.New("connection refused")),
		"timeout":              hanging,
		"cut in the body":      cut,
		"cut without a length": status(200, document(oldFile)[:100]),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
				start := time.Now()
				p, err := f.Fetch(t.Context(), nil)
				checkFetched(t, p, err, oldFile)
				if len(feed.requests) != 5 {
					t.Errorf("%d requests", len(feed.requests))
				}
				if took := time.Since(start); took > 4*30*time.Second+(250+500+1000+2000)*time.Millisecond {
					t.Errorf("took %s", took)
				}
			}, failure, failure, failure, failure, file(oldFile))
			inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
				p, err := f.Fetch(t.Context(), nil)
				checkError(t, err, "fetch "+feedURL+": ", "attempt 5, the last")
				if p != nil || len(feed.requests) != 5 {
					t.Errorf("%v after %d requests", p, len(feed.requests))
				}
			}, failure)
		})
	}
}

func TestFetchPauses(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		f.Attempts, f.Pause, f.MaxPause = 40, time.Second, 8*time.Second
		_, err := f.Fetch(t.Context(), nil)
		checkError(t, err, "500", "attempt 40")
		different := map[time.Duration]bool{}
		for i, at := range feed.times[1:] {
			pause, most := at.Sub(feed.times[i]), min(time.Second<<min(i, 10), 8*time.Second)
			if pause <= 0 || pause > most {
				t.Errorf("pause %d is %s, want at most %s", i, pause, most)
			}
			different[pause] = true
		}
		if len(different) < 20 {
			t.Errorf("only %d different pauses: no jitter", len(different))
		}
	}, status(500, ""))
}

func TestFetchGivesUpAtOnce(t *testing.T) {
	for _, test := range []struct {
		name  string
		word  string
		cause answer
	}{
		{"404", "404 Not Found: check the URL", status(404, "")},
		{"403", "403 Forbidden: check the URL", status(403, "")},
		{"400", "400 Bad Request", status(400, "")},
		{"204", "204 No Content", status(204, "")},
		{"304 to an unconditional request", "304 Not Modified", status(304, "")},
		{"HTML", `not ip-ranges.json: it starts with "<html>"`, status(200, "<html>")},
		{"an empty object", "no syncToken", status(200, "{}")},
		{"null", "null", status(200, "null")},
		{"trailing data", "more data follows", status(200, document(oldFile)+"x")},
		{"a private range", "RFC 1918", status(200, lists(`{"ip_prefix":"10.0.0.0/8","service":"CLOUDFRONT"}`, ""))},
		{"no CLOUDFRONT", "CLOUDFRONT", status(200, lists("", ""))},
		{"too large", "larger than 32 MiB", func(r *http.Request) (*http.Response, error) {
			return respond(r, http.StatusOK, io.MultiReader(strings.NewReader(`{"x":[0`), &repeat{text: largeElement})), nil
		}},
		{"announced as too large", "larger than 32 MiB", func(r *http.Request) (*http.Response, error) {
			res := respond(r, http.StatusOK, errReader{errors.New("read")})
			res.ContentLength = 40 << 20
			return res, nil
		}},
		{"redirect to plain http", "redirect refused: to http://feed.example/: plain http", status(302, "", "Location", "http://feed.example/")},
		{"redirect to another scheme", "redirect refused", status(302, "", "Location", "file:///etc/passwd")},
		{"redirect to this machine", "on this machine", status(302, "", "Location", "http://127.0.0.1:9001/2018-06-01/runtime")},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
				p, err := f.Fetch(t.Context(), nil)
				checkError(t, err, "fetch "+feedURL+": ", test.word)
				if p != nil || len(feed.requests) != 1 {
					t.Errorf("%v after %d requests", p, len(feed.requests))
				}
			}, test.cause)
		})
	}
}

func TestFetchRedirects(t *testing.T) {
	elsewhere := status(302, "", "Location", "https://elsewhere.example/ip-ranges.json")
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		p, err := f.Fetch(t.Context(), nil)
		checkFetched(t, p, err, oldFile)
		if last := feed.requests[len(feed.requests)-1]; last.URL.Host != "elsewhere.example" {
			t.Errorf("fetched from %s", last.URL)
		}
	}, elsewhere, elsewhere, elsewhere, file(oldFile))
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		_, err := f.Fetch(t.Context(), nil)
		checkError(t, err, "redirect refused: more than 3")
		if len(feed.requests) != 4 {
			t.Errorf("%d requests", len(feed.requests))
		}
	}, elsewhere)
}

func TestFetchSendsNoCookies(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		if _, err := f.Fetch(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if c := feed.requests[1].Header.Get("Cookie"); c != "" {
			t.Errorf("sent cookie %s", c)
		}
	}, status(500, "", "Set-Cookie", "a=b"), file(oldFile))
}

func TestFetchEndsWithTheContext(t *testing.T) {
	for name, failure := range map[string]answer{"failing": status(503, ""), "hanging": hanging} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
				f.Attempts, f.MaxPause = 1000, time.Hour
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				_, err := f.Fetch(ctx, nil)
				if took := time.Since(start); took > time.Minute {
					t.Errorf("took %s", took)
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error("the error does not say that time is up: ", err)
				}
				if name == "failing" {
					checkError(t, err, "503", "no time for another")
				}
			}, failure)
		})
	}
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		f.Timeout = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := f.Fetch(ctx, nil)
		checkError(t, err, "deadline exceeded", "attempt 2; the one before: the server answered 503")
	}, status(503, ""), hanging)
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		if _, err := f.Fetch(ctx, nil); !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	}, hanging)
}

func TestFetchAnnounced(t *testing.T) {
	for _, announced := range []string{oldFile, "0" + newFile, "999999999"} {
		inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
			n := notice(announced)
			n.MD5 = strings.ToUpper(md5Of(document(newFile)))
			p, err := f.Fetch(t.Context(), n)
			checkFetched(t, p, err, newFile)
			if len(feed.requests) != 1 {
				t.Errorf("%d requests", len(feed.requests))
			}
		}, file(newFile))
	}
}

func TestFetchStale(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		held, err := f.Fetch(t.Context(), nil)
		checkFetched(t, held, err, oldFile)
		start := time.Now()
		p, err := f.Fetch(t.Context(), notice(newFile))
		if !errors.Is(err, ErrStale) || errors.Is(err, ErrCorrupt) || p != nil {
			t.Fatalf("%v, %v", p, err)
		}
		checkError(t, err, "fetch "+feedURL, "2026-08-22T15:17:05Z (sync token 1787411825)",
			"2026-08-22T15:20:00Z (sync token 1787412000)", "waited", "run again in a few minutes")
		if took := time.Since(start); took < 90*time.Second || took > 2*time.Minute {
			t.Errorf("waited %s", took)
		}
		if n := len(feed.requests) - 1; n < 5 || n > 10 {
			t.Errorf("%d requests", n)
		}
		for i, r := range feed.requests {
			if got := r.Header.Get("Cache-Control"); (got == "no-cache") != (i > 1) {
				t.Errorf("request %d: Cache-Control: %s", i, got)
			}
		}
		for i := 3; i < len(feed.times); i++ {
			if feed.times[i].Sub(feed.times[i-1]) < feed.times[i-1].Sub(feed.times[i-2]) {
				t.Errorf("the pauses do not grow: %s", feed.times)
			}
		}
		// The older file is still held, and good without a notice.
		again, err := f.Fetch(t.Context(), nil)
		if err != nil || again != held {
			t.Errorf("%v, %v", again, err)
		}
	}, file(oldFile))
}

func TestFetchStaleThenNew(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		p, err := f.Fetch(t.Context(), notice(newFile))
		checkFetched(t, p, err, newFile)
	}, file(oldFile), file(oldFile), status(503, ""), file(oldFile), file(newFile))
}

func TestFetchStaleWithoutPatience(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		f.StalePatience = -1
		if _, err := f.Fetch(t.Context(), notice(newFile)); !errors.Is(err, ErrStale) || len(feed.requests) != 1 {
			t.Errorf("%v after %d requests", err, len(feed.requests))
		}
	}, file(oldFile))
}

func TestFetchStaleEndsWithTheContext(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		start := time.Now()
		_, err := f.Fetch(ctx, notice(newFile))
		if !errors.Is(err, ErrStale) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %s", took)
		}
	}, file(oldFile))
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		_, err := f.Fetch(t.Context(), notice(newFile))
		if !errors.Is(err, ErrStale) {
			t.Error(err)
		}
		checkError(t, err, "404", "before that: stale copy")
	}, file(oldFile), status(404, ""))
}

func TestFetchCorrupt(t *testing.T) {
	damaged := status(200, strings.Replace(document(newFile), "3.4.12.4", "3.4.12.5", 1), "ETag", `"damaged"`)
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		p, err := f.Fetch(t.Context(), notice(newFile))
		if !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrStale) || p != nil {
			t.Fatalf("%v, %v", p, err)
		}
		checkError(t, err, md5Of(document(newFile)), "2026-08-22T15:20:00Z", "fetched 3 times", "none of it was used")
		if len(feed.requests) != 3 {
			t.Errorf("%d requests", len(feed.requests))
		}
	}, damaged)
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		p, err := f.Fetch(t.Context(), notice(newFile))
		checkFetched(t, p, err, newFile)
		h := feed.requests[1].Header
		if h.Get("If-None-Match") != "" || h.Get("Cache-Control") != "no-cache" {
			t.Errorf("the damaged copy is not fetched again: %v", h)
		}
	}, damaged, file(newFile))
	// A damaged copy taken in good faith is found out by the notice that follows.
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		if _, err := f.Fetch(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		p, err := f.Fetch(t.Context(), notice(newFile))
		checkFetched(t, p, err, newFile)
	}, damaged, status(304, ""), file(newFile))
}

func TestFetchInvalidNotice(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		_, err := f.Fetch(t.Context(), &Notice{SyncToken: oldFile})
		checkError(t, err, "no md5")
		if len(feed.requests) != 0 {
			t.Error("fetched all the same")
		}
	}, file(oldFile))
}

func TestFetchLogsRetries(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		var log bytes.Buffer
		f.Log = slog.New(slog.NewTextHandler(&log, nil))
		p, err := f.Fetch(t.Context(), notice(newFile))
		checkFetched(t, p, err, newFile)
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "503") || !strings.Contains(log.String(), "stale") {
			t.Errorf("logged:\n%s", log.String())
		}
	}, status(503, ""), file(oldFile), file(newFile))
}

// write sends a body; a client that has hung up is the client's own affair.
func write(w io.Writer, body string) { _, _ = io.WriteString(w, body) }

// serve starts an HTTP server, and a fetcher that gives up on it soon.
func serve(t *testing.T, handler http.HandlerFunc) *Fetcher {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &Fetcher{
		URL: server.URL, Selection: cloudfront,
		Attempts: 2, Pause: time.Millisecond, Timeout: 10 * time.Second,
	}
}

func TestFetchOverHTTP(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("Accept-Encoding: %s", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "", time.Unix(1787411825, 0), bytes.NewReader(compress(t, document(oldFile))))
	})
	first, err := f.Fetch(t.Context(), notice(oldFile)) // the MD5 is of the unpacked file
	checkFetched(t, first, err, oldFile)
	if second, err := f.Fetch(t.Context(), notice(oldFile)); err != nil || second != first {
		t.Errorf("unchanged: %v, %v", second, err)
	}
}

func compress(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// largeElement makes a list large when repeated.
var largeElement = `,"` + strings.Repeat("x", 8000) + `"`

func TestFetchGzipBomb(t *testing.T) {
	// A file may consist of several streams, one after the other (RFC 1952).
	bomb := slices.Concat(compress(t, `{"x":[0`), bytes.Repeat(compress(t, strings.Repeat(largeElement, 100)), 50), compress(t, "]}"))
	requests := 0
	f := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.Header().Set("Content-Encoding", "gzip")
		write(w, string(bomb))
	})
	if _, err := f.Fetch(t.Context(), nil); !errors.Is(err, ErrTooLarge) || requests != 1 {
		t.Errorf("%v after %d requests (%d bytes sent)", err, requests, len(bomb))
	}
}

func TestFetchCutOverHTTP(t *testing.T) {
	packed := compress(t, document(oldFile))
	for name, handler := range map[string]http.HandlerFunc{
		"shorter than announced": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(document(oldFile))))
			write(w, document(oldFile)[:200])
		},
		"gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			write(w, string(packed[:len(packed)/2]))
		},
		"connection": func(w http.ResponseWriter, _ *http.Request) {
			write(w, document(oldFile)[:200])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"before the answer": func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			f := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if requests++; requests == 1 {
					handler(w, r)
					return
				}
				write(w, document(oldFile))
			})
			f.Attempts = 3 // net/http itself may retry as well
			p, err := f.Fetch(t.Context(), nil)
			checkFetched(t, p, err, oldFile)
			if requests != 2 {
				t.Errorf("%d requests", requests)
			}
		})
	}
}

func TestFetchTimesOut(t *testing.T) {
	for name, begin := range map[string]string{"no answer": "", "in the body": document(oldFile)[:200]} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if begin != "" {
					write(w, begin)
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			})
			f.Timeout = 50 * time.Millisecond
			_, err := f.Fetch(t.Context(), nil)
			checkError(t, err, "fetch "+f.URL, "not complete after 50ms", "deadline exceeded", "attempt 2, the last")
		})
	}
}

func TestFetchNoServer(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	f := &Fetcher{URL: server.URL, Selection: cloudfront, Attempts: 2, Pause: time.Millisecond}
	_, err := f.Fetch(t.Context(), nil)
	checkError(t, err, "fetch "+f.URL+": dial tcp", "refused")
}

// TestFetchUntrustedServer checks that a certificate is verified, and that one that is wrong is not tried again.
func TestFetchUntrustedServer(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	t.Cleanup(server.Close)
	f := &Fetcher{URL: server.URL, Selection: cloudfront, Pause: time.Hour, MaxPause: time.Hour}
	_, err := f.Fetch(t.Context(), nil)
	checkError(t, err, "certificate")
}
