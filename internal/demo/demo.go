// Package demo shows the function at work: its real handler goes through an eventful life on an embedded EC2 endpoint
// and a local feed, and the demo prints and verifies each step. It needs no AWS account and no network.
package demo

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"io"
	"log/slog"

	"cloudfront-sg-sync/internal/page"
)

// sample is an invented document in the schema of ip-ranges.json.
//
//go:embed ip-ranges.json
var sample []byte

// Options say which document a demo runs on, and where it is shown.
type Options struct {
	Document []byte // an ip-ranges.json; the built-in sample if nil
	Out      io.Writer
	Color    bool
	Log      *slog.Logger // the function's log; it is discarded if nil
}

// Run shows the demo. It fails at the first thing that does not turn out as the demo tells it: every number shown comes
// from the function's answer or from the endpoint.
func Run(ctx context.Context, o Options) error {
	s, err := newStory(o)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.play(ctx); err != nil {
		return fmt.Errorf("the demo did not turn out as it should; nothing outside this process was touched: %w", err)
	}
	return s.page.Err()
}

// newStory prepares the world and the two documents of a story.
func newStory(o Options) (*story, error) {
	if o.Document == nil {
		o.Document = sample
	}
	original, err := parseDocument(o.Document)
	if err != nil {
		return nil, err
	}
	revised, change, err := original.revise()
	if err != nil {
		return nil, err
	}
	w, err := newWorld(cmp.Or(o.Log, slog.New(slog.DiscardHandler)))
	return &story{world: w, page: page.New(o.Out, o.Color), original: original, revised: revised, change: change}, err
}
