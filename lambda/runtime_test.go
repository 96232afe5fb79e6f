package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// bootstrap is the path of the function, built for this machine.
var bootstrap string

func TestMain(m *testing.M) {
	if which := os.Getenv(asOutsideWorld); which != "" {
		if err := serveOutsideWorld(which); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	dir, err := os.MkdirTemp("", "bootstrap")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bootstrap = filepath.Join(dir, "bootstrap")
	const tags = "lambda.norpc,nethttpomithttp2"
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-tags", tags, "-o", bootstrap, ".")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// A runtime runs bootstrap as Lambda does: bootstrap asks it for the next event and posts what became of it. See
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type runtime struct {
	t       testing.TB
	cmd     *exec.Cmd
	events  chan string
	answers chan answer
	log     *lockedBuffer
	exited  chan error
	timeout time.Duration // of the function
	// patience is how long the test waits for an answer.
	patience time.Duration
	ready    chan struct{} // closed when bootstrap first asks for an event
	started  sync.Once
	// failContext has the next event come with a client context that is not JSON.
	failContext bool
}

// answer is what bootstrap posts for an event: a response, or an error.
type answer struct {
	failed bool
	body   []byte
}

// lockedBuffer is a buffer that can be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// startRuntime starts bootstrap with nothing in its environment but env.
func startRuntime(t testing.TB, env map[string]string) *runtime {
	t.Helper()
	r := &runtime{
		t: t, log: &lockedBuffer{}, events: make(chan string), answers: make(chan answer), timeout: time.Minute,
		patience: time.Minute, exited: make(chan error, 1), ready: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", r.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{outcome}", r.outcome)
	server := httptest.NewServer(mux)
	cmd := exec.Command(bootstrap)
	cmd.Stdout, cmd.Stderr = r.log, r.log
	cmd.Env = []string{
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(server.URL, "http://"),
		"AWS_LAMBDA_FUNCTION_NAME=sync", "AWS_LAMBDA_LOG_FORMAT=JSON",
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
	}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.cmd = cmd
	go func() { r.exited <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		server.CloseClientConnections()
		server.Close()
		if t.Failed() {
			t.Logf("bootstrap's log:\n%s", r.log)
		}
	})
	return r
}

func (r *runtime) next(w http.ResponseWriter, req *http.Request) {
	r.started.Do(func() { close(r.ready) })
	select {
	case event := <-r.events:
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(r.timeout).UnixMilli(), 10))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:111122223333:function:sync")
		if r.failContext {
			w.Header().Set("Lambda-Runtime-Client-Context", "{")
		}
		_, _ = io.WriteString(w, event)
	case <-req.Context().Done():
	}
}

func (r *runtime) outcome(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	w.WriteHeader(http.StatusAccepted)
	r.answers <- answer{failed: req.PathValue("outcome") == "error", body: body}
}

// invoke hands bootstrap an event and returns what it made of it.
func (r *runtime) invoke(event string) answer {
	r.t.Helper()
	deadline := time.After(r.patience)
	select {
	case r.events <- event:
	case err := <-r.exited:
		r.t.Fatalf("bootstrap exited: %v\n%s", err, r.log)
	case <-deadline:
		r.t.Fatal("bootstrap does not ask for an event")
	}
	select {
	case a := <-r.answers:
		return a
	case err := <-r.exited:
		r.t.Fatalf("bootstrap exited: %v\n%s", err, r.log)
	case <-deadline:
		r.t.Fatal("bootstrap does not answer")
	}
	return answer{}
}

// wholeLog ends bootstrap and returns all that it logged.
func (r *runtime) wholeLog() string {
	r.stop()
	return r.log.String()
}

// succeed invokes bootstrap with an event it must not fail on.
func (r *runtime) succeed(event string) report {
	r.t.Helper()
	a := r.invoke(event)
	if a.failed {
		r.t.Fatalf("event %s failed: %s", event, a.body)
	}
	var rep report
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&rep); err != nil {
		r.t.Fatalf("answer %s: %v", a.body, err)
	}
	return rep
}

// fail invokes bootstrap with an event it must fail on, and returns the error.
func (r *runtime) fail(event string) string {
	r.t.Helper()
	a := r.invoke(event)
	if !a.failed {
		r.t.Fatalf("event %s succeeded: %s", event, a.body)
	}
	var e struct {
		ErrorMessage string `json:"errorMessage"`
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		r.t.Fatalf("error %s: %v", a.body, err)
	}
	return e.ErrorMessage
}

// report is the answer that callers rely on, written down here again so that a change of it shows.
type report struct {
	SyncToken   string `json:"syncToken"`
	PublishedAt string `json:"publishedAt"`
	DryRun      bool   `json:"dryRun"`
	Changed     bool   `json:"changed"`
	Ranges      struct {
		IPv4 int `json:"ipv4"`
		IPv6 int `json:"ipv6"`
	} `json:"ranges"`
	Summary struct {
		Groups  int `json:"groups"`
		Changed int `json:"changed"`
		Failed  int `json:"failed"`
		Added   int `json:"added"`
		Revoked int `json:"revoked"`
	} `json:"summary"`
	Groups      []groupReport      `json:"groups"`
	PrefixLists []prefixListReport `json:"prefixLists"`
	Warnings    []string           `json:"warnings"`
	Errors      []string           `json:"errors"`
}

type prefixListReport struct {
	Account      string `json:"account"`
	Region       string `json:"region"`
	PrefixListID string `json:"prefixListId"`
	Name         string `json:"name"`
	Family       string `json:"family"`
	Version      int    `json:"version"`
	MaxEntries   int    `json:"maxEntries"`
	Added        int    `json:"added"`
	Removed      int    `json:"removed"`
	Kept         int    `json:"kept"`
	Foreign      int    `json:"foreign"`
	Error        string `json:"error"`
}

type groupReport struct {
	Account string   `json:"account"`
	Region  string   `json:"region"`
	GroupID string   `json:"groupId"`
	Name    string   `json:"name"`
	Pool    string   `json:"pool"`
	Ports   []string `json:"ports"`
	Added   int      `json:"added"`
	Revoked int      `json:"revoked"`
	Kept    int      `json:"kept"`
	Foreign int      `json:"foreign"`
	Error   string   `json:"error"`
}
