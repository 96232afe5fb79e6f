package ec2sim

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"time"
)

// RoundTrip answers a request in this process, without a network: as the Transport of an [http.Client] the endpoint
// needs no listener.
func (s *Server) RoundTrip(req *http.Request) (res *http.Response, err error) {
	defer func() {
		switch cut := recover(); cut {
		case nil:
		case http.ErrAbortHandler:
			res, err = nil, errors.New("the connection was cut")
		default:
			panic(cut)
		}
	}()
	if req.Body == nil {
		req.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	if err := req.Context().Err(); err != nil {
		return nil, err // the caller no longer waits for the answer
	}
	return w.Result(), nil
}

// A distant ResponseWriter keeps a long answer back for a moment, as the real EC2 does by being far away.
//
// When an answer begins, the SDK for Go closes the body of its request. If its transport has not looked for the body's
// end by then, it takes that for a failure and closes the connection, under what is left of the answer to read.
// https://github.com/aws/aws-sdk-go-v2/issues/1825
type distant struct{ http.ResponseWriter }

const (
	longAnswer = 2 << 10 // bytes; less is read at once
	distance   = 500 * time.Microsecond
)

func (w distant) Write(p []byte) (int, error) {
	if len(p) > longAnswer {
		time.Sleep(distance)
	}
	return w.ResponseWriter.Write(p)
}
