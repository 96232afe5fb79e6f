package demo

import (
	"net/http"
	"sync"
)

// A feed serves what AWS has published last to clients that may have it already.
type feed struct {
	mu      sync.Mutex
	current *document
	status  int // of the last answer
}

func (f *feed) publish(d *document) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.current = d
}

// lastStatus returns the HTTP status of the last answer.
func (f *feed) lastStatus() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	d, status := f.current, http.StatusOK
	if r.Header.Get("If-None-Match") == d.etag() {
		status = http.StatusNotModified
	}
	f.status = status
	f.mu.Unlock()

	w.Header().Set("ETag", d.etag())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if status == http.StatusOK {
		_, _ = w.Write(d.bytes)
	}
}
