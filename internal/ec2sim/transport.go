package ec2sim

import (
	"errors"
	"net/http"
	"net/http/httptest"
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
