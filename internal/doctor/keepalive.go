package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	watch := w.Settings.KeepAliveTimeout + min(w.Settings.KeepAliveTimeout/10, 500*time.Millisecond)
	w.Progress(fmt.Sprintf("watching an idle connection (at most %s)", Format(watch)))
	k, err := w.idle(ctx, watch)
	if err != nil { // nobody knows, then
		return Step{Verdict: Warn, Summary: "no second answer: " + printable(rootCause(err).Error())}
	}
	w.report.KeepAlive = k
	timeout := Format(w.Settings.KeepAliveTimeout)
	step := Step{Verdict: OK, Summary: fmt.Sprintf("an idle connection is kept longer than CloudFront's %s", timeout)}
	switch {
	case !k.Kept:
		step.Summary = "the connection is closed after each answer"
		step.find(finding("not-kept", "the server closes the connection after each answer, so every request of CloudFront has to open a new one"))
	case k.ClosedAfter != nil:
		step.Summary = fmt.Sprintf("an idle connection is closed after %s", *k.ClosedAfter)
		step.find(finding("closed-early", "the server closes idle connections after %s, while CloudFront reuses them for %s: a request sent at that moment is lost", *k.ClosedAfter, timeout))
	}
	return step
}

// idle sends a request on a connection of its own, reads the answer, and waits for the server to close it.
func (w *walk) idle(ctx context.Context, watch time.Duration) (*KeepAlive, error) {
	conn, err := w.dialTo(ctx, w.answered[0])
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	raw := conn
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	if w.Origin.isSecure() {
		conn = tls.Client(conn, w.tlsConfig(w.answered[0].Addr()))
	}
	reader, closing, err := w.ask(ctx, conn)
	if err != nil {
		return nil, err
	}
	if closing {
		return &KeepAlive{}, nil
	}
	start := time.Now()
	if err := conn.SetReadDeadline(start.Add(watch)); err != nil {
		return nil, err
	}
	if _, err = reader.ReadByte(); err == nil {
		return nil, errors.New("it sends more than one answer")
	}
	k := &KeepAlive{Kept: true, Watched: Seconds(time.Since(start))}
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		k.ClosedAfter = &k.Watched
	}
	return k, nil
}

// ask sends a request and reads the answer, whole. It reports whether the server says that it closes the connection.
func (w *walk) ask(ctx context.Context, conn net.Conn) (reader *bufio.Reader, closing bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(w.Settings.ConnectionTimeout + 2*w.Settings.ResponseTimeout)); err != nil {
		return nil, false, err
	}
	request := w.request(ctx, w.Origin.URL, w.headers(w.answered[0].Addr()))
	if err := request.Write(conn); err != nil {
		return nil, false, err
	}
	reader = bufio.NewReader(io.LimitReader(conn, mostHeader+mostBody))
	response, err := http.ReadResponse(reader, request)
	for err == nil && response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols {
		response, err = http.ReadResponse(reader, request) // what came was interim: RFC 9110, 15.2
	}
	if err != nil {
		return nil, false, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return nil, false, err
	}
	return reader, response.Close, nil
}
