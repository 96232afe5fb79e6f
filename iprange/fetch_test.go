package iprange

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
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
		validators := []string{"ETag", `"` + token + `"`, "Last-Modified", "at " + token}
		return respond(r, http.StatusOK, strings.NewReader(document(token)), validators...), nil
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
		f.Attempts = 1
		first, err := f.Fetch(t.Context(), nil)
		checkFetched(t, first, err, oldFile)
		r := feed.requests[0]
		got, want := fmt.Sprint(r.Method, " ", r.URL, " ", r.Header), "GET "+feedURL+" map[User-Agent:[cloudfront-sg-sync]]"
		if got != want {
			t.Errorf("request %s", got)
		}
		for _, word := range []string{"", "404", "cut short", "no IPv4", ""} {
			p, err := f.Fetch(t.Context(), nil)
			if word != "" {
				checkError(t, err, word)
			} else if err != nil || p != first {
				t.Errorf("unchanged: %v, %v", p, err)
			}
			h := feed.requests[len(feed.requests)-1].Header
			if h.Get("If-None-Match") != `"`+oldFile+`"` || h.Get("If-Modified-Since") != "at "+oldFile {
				t.Errorf("not conditional: %v", h)
			}
		}
		next, err := f.Fetch(t.Context(), nil)
		checkFetched(t, next, err, newFile)
	}, file(oldFile), file(oldFile), status(404, ""), status(200, `{"syncToken":"1"`, "ETag", "wrong"),
		status(200, lists("", ""), "ETag", "wrong"), file(oldFile), file(newFile))
}

func TestFetchRetries(t *testing.T) {
	for name, failure := range map[string]answer{
		"500":     status(500, "internal error"),
		"429":     status(429, ""),
		"network": broken(errors.New("connection refused")),
		"timeout": hanging,
		"cut":     status(200, document(oldFile)[:100]),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
				start := time.Now()
				p, err := f.Fetch(t.Context(), nil)
				checkFetched(t, p, err, oldFile)
				took := time.Since(start)
				if len(feed.requests) != 5 || took > 4*30*time.Second+(250+500+1000+2000)*time.Millisecond {
					t.Errorf("took %d requests and %s", len(feed.requests), took)
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

// What cannot pass is not tried again; internal/function has more files that are wrong.
func TestFetchGivesUpAtOnce(t *testing.T) {
	redirect := func(to string) answer { return status(302, "", "Location", to) }
	for word, cause := range map[string]answer{
		"404 Not Found: check the URL": status(404, ""),
		"403 Forbidden: check the URL": status(403, ""),
		"204 No Content":               status(204, ""),
		"304 Not Modified":             status(304, ""), // to an unconditional request
		"no IPv4 or IPv6 range":        status(200, lists("", "")),
		"larger than 32 MiB": func(r *http.Request) (*http.Response, error) {
			res := respond(r, http.StatusOK, iotest.ErrReader(errors.New("it is read")))
			res.ContentLength = 40 << 20
			return res, nil
		},
		`not ip-ranges.json: it starts with "<html>"`:              status(200, "<html>"),
		"redirect refused: to http://feed.example/: plain http":    redirect("http://feed.example/"),
		`redirect refused: to file:///etc/passwd`:                  redirect("file:///etc/passwd"),
		"redirect refused: to http://127.0.0.1:9001/2018-06-01/ru": redirect("http://127.0.0.1:9001/2018-06-01/runtime"),
	} {
		inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
			p, err := f.Fetch(t.Context(), nil)
			checkError(t, err, "fetch "+feedURL+": ", word)
			if p != nil || len(feed.requests) != 1 {
				t.Errorf("%v after %d requests", p, len(feed.requests))
			}
		}, cause)
	}
	for address, n := range map[string]*Notice{feedURL: {SyncToken: oldFile}, "http://feed.example/": nil} {
		inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
			f.URL = address
			_, err := f.Fetch(t.Context(), n)
			checkError(t, err, "fetch "+address+": ", map[bool]string{true: "plain http", false: "no md5"}[n == nil])
			if len(feed.requests) != 0 {
				t.Error("fetched all the same")
			}
		}, file(oldFile))
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
	for word, failure := range map[string]answer{"no time for another": status(503, ""), "deadline exceeded": hanging} {
		inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
			f.Attempts, f.MaxPause = 1000, time.Hour
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			_, err := f.Fetch(ctx, nil)
			if took := time.Since(start); took > time.Minute || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("took %s, and the error does not say that time is up: %v", took, err)
			}
			checkError(t, err, word)
		}, failure)
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
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		p, err := f.Fetch(t.Context(), notice(newFile))
		checkFetched(t, p, err, newFile)
	}, file(oldFile), file(oldFile), status(503, ""), file(oldFile), file(newFile))
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

func TestFetchLogsRetries(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fetcher, feed *feed) {
		var log bytes.Buffer
		f.Log = slog.New(slog.NewTextHandler(&log, nil))
		p, err := f.Fetch(t.Context(), notice(newFile))
		checkFetched(t, p, err, newFile)
		lines := log.String()
		if strings.Count(lines, "\n") != 2 || !strings.Contains(lines, "503") || !strings.Contains(lines, "stale") {
			t.Errorf("logged:\n%s", lines)
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

// An answer that ends early is fetched again.
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
		"before the answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
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
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		write(w, document(oldFile)[:200])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	f.Timeout = 50 * time.Millisecond
	_, err := f.Fetch(t.Context(), nil)
	checkError(t, err, "fetch "+f.URL, "not complete after 50ms", "deadline exceeded", "attempt 2, the last")
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
