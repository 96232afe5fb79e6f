package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"cloudfront-sg-sync/iprange"
)

// readIPRanges returns the ip-ranges.json that src names: a URL, a file, or -
// for stdin. One that is no such document is an error.
func readIPRanges(ctx context.Context, src string, stdin io.Reader) ([]byte, error) {
	if isURL(src) {
		return fetchIPRanges(ctx, src)
	}
	name, in := "stdin", stdin
	if src != "-" {
		f, err := os.Open(src)
		if err != nil {
			return nil, fmt.Errorf("%w; name a file, a URL, or - for stdin", err)
		}
		defer f.Close()
		name, in = src, f
	}
	data, err := readPlain(in)
	if err == nil {
		_, err = iprange.Decode(bytes.NewReader(data), everything)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// everything is a selection of any document that may be one of AWS.
var everything = iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true}

// readPlain reads all there is, decompressed if it is gzip (RFC 1952).
func readPlain(r io.Reader) ([]byte, error) {
	in := bufio.NewReader(r)
	r = in
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		r = unpacked
	}
	data, err := io.ReadAll(io.LimitReader(r, iprange.MaxSize+1))
	if err == nil && len(data) > iprange.MaxSize {
		err = iprange.ErrTooLarge
	}
	return data, err
}

// fetchIPRanges fetches the document from a URL, by the rules the function has
// for it.
func fetchIPRanges(ctx context.Context, url string) ([]byte, error) {
	var body recorder
	fetcher := iprange.Fetcher{URL: url, Selection: everything, Transport: &body, Attempts: 2, Timeout: 20 * time.Second}
	if _, err := fetcher.Fetch(ctx, nil); err != nil {
		return nil, err
	}
	return body.last.Bytes(), nil
}

// A recorder is a transport that keeps what was read of the last answer.
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
