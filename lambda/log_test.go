package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
)

// The log of every kind of run holds no credential and no whole file, and is bounded whatever the event is.
func TestLogIsDiscreetAndBounded(t *testing.T) {
	const (
		secret   = "wJalrXUtnFEMI-K7MDENG-planted"
		token    = "FwoGZXIvYXdzEJ-planted-session-token"
		variable = "hunter2-planted"
	)
	w := newWorld(t, ec2sim.Options{}, document)
	w.group("web", map[string]string{"cloudfront-ingress": "443"})
	f := w.start(map[string]string{"AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token, "SOME_PASSWORD": variable})
	long := strings.Repeat("x", 200_000)
	// Padding by which a log that holds the file would give itself away.
	padded := strings.Replace(document, "{", `{"padding":"`+strings.Repeat("p", 8000)+`",`, 1)
	deny := func() { w.sim.Deny("AuthorizeSecurityGroupIngress") }
	for _, c := range []struct {
		name, document, event string
		arrange               func()
		fails                 bool
	}{
		{name: "sync", document: padded, event: notification(padded, topic)},
		{name: "denied", document: strings.Replace(padded, "18.66.", "18.68.", 1), event: `{}`, arrange: deny, fails: true},
		{name: "corrupt file", document: padded[:len(padded)-100], event: `{}`, fails: true},
		{name: "not the file", document: "<html>" + padded, event: `{}`, fails: true},
		{name: "long value", document: padded, event: `{"dryRun":"` + long + `"}`, fails: true},
		{name: "long name", document: padded, event: `{"` + long + `":1}`, fails: true},
		{name: "long IDs", document: padded, event: `{"groupIds":["` + long + `"]}`, fails: true},
		{name: "long text", document: padded, event: `"` + long + `"`, fails: true},
		{name: "long message", document: padded, event: notification(document, topic+long), fails: true},
	} {
		w.document.Store(&c.document)
		if c.arrange != nil {
			c.arrange()
		}
		before := len(f.log.String())
		a := f.invoke(c.event)
		w.sim.ClearFaults()
		if a.failed != c.fails {
			t.Errorf("%s: answer %s", c.name, a.body)
		}
		log := f.log.String()[before:]
		if n := len(log); n > 8<<10 {
			t.Errorf("%s: %d bytes are logged", c.name, n)
		}
		for _, planted := range []string{secret, token, variable, strings.Repeat("p", 300), strings.Repeat("x", 1100)} {
			if strings.Contains(log+string(a.body), planted) {
				t.Errorf("%s: the log or the answer holds %.40s", c.name, planted)
			}
		}
	}
}

// A run that is out of time ends by itself, with an answer that says so, before Lambda would end it.
func TestFunctionEndsBeforeItsTimeIsUp(t *testing.T) {
	const limit = 6 * time.Second
	w := newWorld(t, ec2sim.Options{}, document)
	w.group("web", map[string]string{"cloudfront-ingress": "443"})
	for _, action := range []string{"DescribeSecurityGroups", "AuthorizeSecurityGroupIngress"} {
		f := w.start(nil)
		f.timeout = limit
		w.sim.Inject(ec2sim.Fault{Kind: ec2sim.Slow, Action: action, Count: ec2sim.Forever, Delay: time.Minute})
		began := time.Now()
		msg := f.fail(`{}`)
		if took := time.Since(began); took >= limit {
			t.Errorf("%s hangs: the function ended by itself after %s", action, took)
		}
		if !strings.Contains(msg, action) || !strings.Contains(msg, "deadline exceeded") {
			t.Errorf("%s hangs: error %s", action, msg)
		}
		w.sim.ClearFaults()
	}
}

// Every line of the log is an entry in JSON, and an error is logged once: the runtime library, which logs it as well,
// has no say in it. What only the library knows is logged too.
func TestErrorsAreLoggedOnce(t *testing.T) {
	w := newWorld(t, ec2sim.Options{}, document)
	w.group("bad", map[string]string{"cloudfront-ingress": "44three"})
	f := w.start(nil)
	f.failContext = true
	if msg := f.fail(`{}`); !strings.Contains(msg, "client context") {
		t.Errorf("error %s", msg)
	}
	f.failContext = false
	f.fail(`{}`)
	f.fail(`{"dryrun":true}`)
	log := f.wholeLog()
	for _, once := range []string{"44three", `unknown field`, "failed to unmarshal client context"} {
		n := 0
		for line := range strings.Lines(log) {
			if strings.Contains(line, once) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%q is in %d lines of the log", once, n)
		}
	}
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			t.Errorf("line %s is not JSON", line)
		}
	}
}
