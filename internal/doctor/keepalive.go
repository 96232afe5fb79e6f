package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// KeepAlive is what happens to a connection after an answer.
type KeepAlive struct {
	Kept        bool     `json:"kept"`               // the server lets CloudFront reuse it
	ClosedAfter *Seconds `json:"closedAfterSeconds"` // of being idle; null if it was still open in the end
	Watched     Seconds  `json:"watchedSeconds"`
}

// keepAlive checks whether the server keeps a connection open for as long as CloudFront wants to reuse it. That takes
// this long, and a bit more: a server with the same timeout as CloudFront loses requests too.
func (w *walk) keepAlive(ctx context.Context) Step {
	if len(w.answered) == 0 {
		return skipped(w.noAnswer())
	}
	timeout := w.Settings.KeepAliveTimeout
	watch := timeout + min(timeout/10, second/2)
	w.Progress(fmt.Sprintf("watching an idle connection (at most %s)", watch))
	k, err := w.idle(ctx, time.Duration(watch))
	if err != nil { // so it is unknown
		return Step{Verdict: Warn, Summary: "no second answer: " + causeOf(err)}
	}
	w.report.KeepAlive = k
	step := Step{Verdict: OK, Summary: fmt.Sprintf("an idle connection is kept longer than CloudFront's %s", timeout)}
	switch {
	case !k.Kept:
		step.Summary = "the connection is closed after each answer"
		step.Find("not-kept", "the server closes the connection after each answer, so every request of CloudFront has to open a new one")
	case k.ClosedAfter != nil:
		step.Summary = fmt.Sprintf("an idle connection is closed after %s", *k.ClosedAfter)
		step.Find("closed-early", "the server closes idle connections after %s, while CloudFront reuses them for %s: a request sent at that moment is lost", *k.ClosedAfter, timeout)
	}
	return step
}

// idle sends a request on a connection of its own, reads the answer, and waits for the server to close it.
func (w *walk) idle(ctx context.Context, watch time.Duration) (*KeepAlive, error) {
	l := w.line(w.answered[0])
	defer l.close()
	s := l.get(ctx, w.Origin.URL)
	switch {
	case s.err != nil:
		return nil, s.err
	case s.endless:
		return nil, errors.New("it does not end")
	case l.conn == nil:
		return &KeepAlive{}, nil
	}
	conn := l.conn
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	start := time.Now()
	if err := conn.SetReadDeadline(start.Add(watch)); err != nil {
		return nil, err
	}
	_, err := l.in.ReadByte()
	if err == nil {
		return nil, errors.New("it sends more than one answer")
	}
	k := &KeepAlive{Kept: true, Watched: Seconds(time.Since(start))}
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		k.ClosedAfter = &k.Watched
	}
	return k, nil
}
