package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/iprange"
)

// ipRanges is a document and the ranges selected from it.
type ipRanges struct {
	*iprange.Publication
	document []byte
}

// read reads the ranges that a configuration asks for from the document that --ip-ranges names: a URL, a file, or - for
// stdin, plain or gzip. A service that the document does not have is an error that names the nearest there is.
func (f rangeFlags) read(ctx context.Context, t terminal, c config.Config) (r ipRanges, err error) {
	switch src := cmp.Or(f.IPRanges, c.URL); {
	case isURL(src):
		if r, err = fetchIPRanges(ctx, src, c.Selection); err != nil && len(r.document) == 0 {
			err = hint.With(err, "--ip-ranges may also name a file")
		}
	case src == "-":
		r, err = decodeIPRanges("stdin", t.in, c.Selection)
	default:
		var in *os.File
		if in, err = os.Open(src); err != nil {
			err = hint.With(err, "name a file, a URL, or - for stdin")
			break
		}
		defer in.Close()
		r, err = decodeIPRanges(src, in, c.Selection)
	}
	if missing, ok := errors.AsType[*iprange.MissingServiceError](err); ok {
		err = hint.With(err, suggestServices(missing.Services, r.document))
	}
	if err != nil {
		err = fmt.Errorf("read the ranges: %w", err)
	}
	return r, err
}

// load reads the settings and the ranges of a command that needs no AWS.
func (f rangeFlags) load(ctx context.Context, t terminal) (config.Config, ipRanges, error) {
	w, err := placeFlags{rangeFlags: f}.open(ctx, t, f.given())
	if err != nil {
		return config.Config{}, ipRanges{}, err
	}
	defer t.progress("reading the ranges …")()
	r, err := w.ranges()
	return w.Config, r, err
}

func decodeIPRanges(name string, in io.Reader, sel iprange.Selection) (r ipRanges, err error) {
	if r.document, err = readPlain(in); err == nil {
		r.Publication, err = iprange.Decode(bytes.NewReader(r.document), sel)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return r, err
}

// readPlain reads everything, and decompresses gzip (RFC 1952).
func readPlain(r io.Reader) (data []byte, err error) {
	in := bufio.NewReader(r)
	r = in
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		r, err = gzip.NewReader(in)
	}
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(r, iprange.MaxSize+1))
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF): // data that are not packed just end
		err = fmt.Errorf("the gzip file is cut short: %w", err)
	case err != nil:
	case bytes.HasPrefix(data, []byte("\xFF\xFE")) || bytes.HasPrefix(data, []byte("\xFE\xFF")):
		err = hint.New("this is UTF-16, which PowerShell writes for >", "download the file with curl.exe -o FILE")
	case len(data) > iprange.MaxSize:
		err = iprange.ErrTooLarge
	}
	return bytes.TrimPrefix(data, []byte("\uFEFF")), err // editors on Windows put one there
}

// fetchIPRanges fetches the document from a URL, by the rules the function has for it.
func fetchIPRanges(ctx context.Context, url string, sel iprange.Selection) (r ipRanges, err error) {
	body := recorder{last: new(bytes.Buffer)}
	fetcher := iprange.Fetcher{URL: url, Selection: sel, Transport: &body, Attempts: 2, Timeout: 20 * time.Second}
	r.Publication, err = fetcher.Fetch(ctx, nil)
	r.document = body.last.Bytes()
	return r, err
}

// A recorder is a transport that keeps the bytes read from the last answer.
type recorder struct{ last *bytes.Buffer }

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	r.last = new(bytes.Buffer)
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(res.Body, r.last), res.Body}
	return res, nil
}

// suggestServices says which services of a document are most like those that it does not have.
func suggestServices(missing []string, document []byte) string {
	const all = "cfsg ranges list names all services"
	services, _ := iprange.Services(bytes.NewReader(document)) // it was read before
	var names, guesses []string
	for _, s := range services {
		names = append(names, s.Name)
	}
	for _, name := range missing {
		if guess := nearest(name, names); guess != "" && guess != name { // which lacks only a family
			guesses = append(guesses, guess)
		}
	}
	if len(guesses) == 0 {
		return all
	}
	return fmt.Sprintf("did you mean %s? %s", strings.Join(guesses, " and "), all)
}
