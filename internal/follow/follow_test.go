package follow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/iprange"
)

// A host has a file to follow, a server that checks it and loads it, and a place where the list is published.
type host struct {
	*Follower
	t      *testing.T
	dir    string
	list   string // as published
	status int    // of the answer, 200 if zero
	asked  []string
}

var published = time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)

// publish publishes ranges, so many days after the first list.
func (h *host) publish(days int, ranges ...string) {
	at := published.AddDate(0, 0, days)
	var entries []string
	for _, r := range ranges {
		entries = append(entries, fmt.Sprintf(`{"ip_prefix": %q, "service": "CLOUDFRONT"}`, r))
	}
	h.list = fmt.Sprintf(`{"syncToken": "%d", "createDate": "", "prefixes": [%s], "ipv6_prefixes": []}`,
		at.Unix(), strings.Join(entries, ","))
}

func newHost(t *testing.T) *host {
	h := &host{t: t, dir: t.TempDir()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		etag := `"` + sumOf(h.list) + `"`
		w.Header().Set("ETag", etag)
		switch {
		case h.status != 0:
			w.WriteHeader(h.status)
		case r.Header.Get("If-None-Match") == etag:
			w.WriteHeader(http.StatusNotModified)
		default:
			fmt.Fprint(w, h.list)
		}
		h.asked = append(h.asked, r.Header.Get("If-None-Match"))
	}))
	t.Cleanup(server.Close)
	selection := iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true}
	h.Follower = &Follower{
		File: filepath.Join(h.dir, "ranges.conf"), URL: server.URL, Settings: selection.String(), MaxRevokePercent: 50,
		Check: "! grep -q bad " + h.dir + "/ranges.conf", Reload: "cp " + h.dir + "/ranges.conf " + h.dir + "/loaded",
		Fetch: func(ctx context.Context, held iprange.Copy) (iprange.Copy, error) {
			f := iprange.Fetcher{URL: server.URL, Selection: selection, Held: held, Attempts: 1}
			_, err := f.Fetch(ctx, nil)
			return f.Last(), err
		},
		Render: func(p *iprange.Publication) (string, error) {
			return fmt.Sprintf("# %s\n%v\n", p.SyncToken, p.IPv4), nil
		},
	}
	h.publish(0, "52.84.0.0/16", "52.86.0.0/16", "52.88.0.0/16")
	return h
}

func (h *host) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(h.dir, name))
	return string(text)
}

// ends runs, and checks the outcome, and that the server has what the file has.
func (h *host) ends(when string, want Outcome) Report {
	h.t.Helper()
	r, err := h.Update(h.t.Context())
	if r.Outcome != want || (err == nil) != (want == Unchanged || want == Updated) {
		h.t.Fatalf("%s: outcome %q, want %q, error %v, output %s", when, r.Outcome, want, err, r.Output)
	}
	if h.read("ranges.conf") != h.read("loaded") {
		h.t.Errorf("%s: the server has %q, the file %q", when, h.read("loaded"), h.read("ranges.conf"))
	}
	files, _ := filepath.Glob(filepath.Join(h.dir, "*"))
	for _, file := range files {
		if strings.Contains(filepath.Base(file), "cfsg") {
			h.t.Errorf("%s: it leaves %s", when, file)
		}
	}
	return r
}

// cmd/cfsg/testdata/follow.txt has the outcomes that take one step.
func TestOutcomes(t *testing.T) {
	h := newHost(t)
	if r := h.ends("first", Updated); len(r.Added) != 3 || !r.Loaded {
		t.Errorf("got %+v", r)
	}
	first, modified := h.read("ranges.conf"), func() string {
		times, err := exec.Command("stat", "-c", "%n %y", h.File, h.File+".state", h.dir+"/loaded").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(times)
	}
	before := modified()
	h.ends("again", Unchanged)
	if modified() != before || h.asked[1] == "" {
		t.Errorf("it writes though nothing has changed, or asks for all of the list: %q", h.asked)
	}
	h.publish(1, "52.84.0.0/16", "52.86.0.0/16", "52.88.0.0/16")
	if r := h.ends("another date", Unchanged); r.Loaded || h.read("ranges.conf") != first {
		t.Error("a list with the same ranges is loaded")
	}
	for _, spoil := range []string{"echo mine >", "rm "} {
		if err := exec.Command("sh", "-c", spoil+h.File).Run(); err != nil {
			t.Fatal(err)
		}
		h.ends(spoil, Updated)
	}
	in := h.read("ranges.conf")
	h.list = h.list[:100]
	h.ends("cut short", FetchFailed)
	h.publish(400_000, "52.84.0.0/16")
	h.ends("from the future", FetchFailed)
	h.publish(2, "52.84.0.0/16")
	for range 2 {
		h.ends("half of it closed", Held)
	}
	h.publish(3, "52.84.0.0/16", "52.86.0.0/16", "52.90.0.0/16")
	h.Reload = "grep -q 52.88 " + h.File + " && " + h.Reload // takes the old file only
	h.ends("reload", ReloadFailed)
	if h.read("ranges.conf") != in {
		t.Error("the old file is not in force")
	}
	good := strings.SplitN(h.Reload, "&& ", 2)[1]
	h.Reload = "false" // takes neither, so that the state of the server is unknown
	h.ends("no reload", ReloadFailed)
	h.Check = "false"
	h.ends("no reload, nor a check", CheckFailed)
	h.Check = ""
	h.publish(2, "52.84.0.0/16", "52.86.0.0/16", "52.88.0.0/16")
	h.ends("no reload, nothing new", ReloadFailed)
	h.publish(3, "52.84.0.0/16", "52.86.0.0/16", "52.90.0.0/16")
	h.Reload = good
	if r := h.ends("at last", Updated); r.Changes() != "1 added (52.90.0.0/16), 1 removed (52.88.0.0/16)" {
		t.Errorf("it changes %s", r.Changes())
	}
	h.Force = true
	h.publish(-2, "52.84.0.0/16")
	h.ends("forced", Updated)
	h.Force, h.Settings = false, "other services"
	h.publish(1, "3.5.140.0/24")
	h.ends("other settings", Updated)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if r, err := h.Update(ctx); r.Outcome != Interrupted || !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: outcome %q, error %v", r.Outcome, err)
	}
}

// Whoever owns the file, and whatever its name is a link to, that stays.
func TestOwnerModeAndLinkStay(t *testing.T) {
	h := newHost(t)
	kept := filepath.Join(h.dir, "real")
	if err := errors.Join(os.WriteFile(kept, nil, 0o640), os.Symlink(kept, h.File)); err != nil {
		t.Fatal(err)
	}
	want := "640 0"
	if os.Geteuid() == 0 {
		want = "640 1234"
		if err := os.Chown(kept, 1234, 1234); err != nil {
			t.Fatal(err)
		}
	}
	h.ends("first", Updated)
	out, err := exec.Command("stat", "-c", "%a %u", kept).Output()
	if info, lerr := os.Lstat(h.File); err != nil || lerr != nil || info.Mode()&os.ModeSymlink == 0 ||
		os.Geteuid() == 0 && strings.TrimSpace(string(out)) != want {
		t.Errorf("it has %s, want %s; errors %v %v", out, want, err, lerr)
	}
}

// A run that is killed after any of its steps leaves a whole file. The next one ends with the file and the server
// agreed, on the old list where the new one cannot be had any more.
func TestKilledAtEveryStep(t *testing.T) {
	for kind := range 8 {
		script, reachable, again := kind&1 != 0, kind&2 != 0, kind&4 != 0 // the run that undoes it is killed as well
		for kill, killed := 1, true; killed; kill++ {
			h := newHost(t)
			if h.Script = script; script {
				h.Render = func(p *iprange.Publication) (string, error) {
					return "cp " + h.File + " " + h.dir + "/loaded # " + fmt.Sprint(p.IPv4), nil
				}
				h.Check, h.Reload = "", ""
			}
			h.ends("first", Updated)
			old := h.read("ranges.conf")
			h.publish(1, "52.84.0.0/16", "52.86.0.0/16", "52.90.0.0/16")
			killed = h.killAt(kill)
			when := fmt.Sprintf("script %t, killed after step %d", script, kill)
			if now := h.read("ranges.conf"); now != old && !strings.Contains(now, "52.90.0.0/16") {
				t.Errorf("%s: the file is %q", when, now)
			}
			if !killed {
				break
			}
			want := []Outcome{Updated, Unchanged}
			if !reachable {
				h.status = http.StatusNotFound
				want = []Outcome{FetchFailed}
			}
			if again {
				h.killAt(kill%4 + 1)
			}
			r, _ := h.Update(t.Context())
			if r.Outcome != want[0] && r.Outcome != want[len(want)-1] {
				t.Errorf("%s: outcome %q", when, r.Outcome)
			}
			h.ends(when, want[len(want)-1])
			if reachable && h.read("loaded") == old {
				t.Errorf("%s: the old list stays", when)
			}
		}
	}
}

// killAt runs until a step, and reports whether it came so far.
func (h *host) killAt(step int) (killed bool) {
	h.changed = func() {
		if step--; step == 0 {
			panic("killed")
		}
	}
	defer func() {
		h.changed = nil
		if recover() != nil {
			killed = true
		}
	}()
	_, _ = h.Update(h.t.Context())
	return false
}

// A failure of the very first file leaves nothing behind; a script that failed is there to be taken out.
func TestFirstFails(t *testing.T) {
	h := newHost(t)
	h.Check = "echo no such zone >&2; false"
	if r := h.ends("check", CheckFailed); h.read("ranges.conf") != "" || r.Output != "no such zone\n" {
		t.Errorf("the file is %q, and it says %q", h.read("ranges.conf"), r.Output)
	}
	h.Check, h.Script, h.Reload = "", true, ""
	h.Render = func(*iprange.Publication) (string, error) { return "exit 3", nil }
	if r, err := h.Update(t.Context()); r.Outcome != ReloadFailed ||
		!strings.Contains(r.Output, "There is no earlier script") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("outcome %q, error %v, output %q", r.Outcome, err, r.Output)
	}
}

// Rules that a restart of the host forgets are loaded again, even without a network.
func TestAfterRestart(t *testing.T) {
	h := newHost(t)
	h.Volatile = true
	h.ends("first", Updated)
	restarted := strings.Replace(h.read("ranges.conf.state"), `"boot": "`, `"boot": "before `, 1)
	if err := errors.Join(os.Remove(h.dir+"/loaded"),
		os.WriteFile(h.File+".state", []byte(restarted), 0o600)); err != nil {
		t.Fatal(err)
	}
	h.status = http.StatusNotFound
	for _, loaded := range []bool{true, false} {
		if r := h.ends("restarted", FetchFailed); r.Loaded != loaded {
			t.Errorf("it is loaded: %t, want %t", r.Loaded, loaded)
		}
	}
}

// A service and its timer are as systemd has it, whatever the names of files and commands are.
func TestUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	u := Unit{
		Name: UnitName("/etc/nginx/my ranges.conf"), File: "/etc/nginx/my ranges.conf", Every: 6 * time.Hour,
		Writable: []string{"/tmp", "-/etc/none"},
		Command:  []string{"/bin/sh", "-c", `echo "$HOME" 100% 'a\b'`},
	}
	var files []string
	for _, text := range strings.Split(u.String(), "# /etc/systemd/system/")[1:] {
		name, unit, _ := strings.Cut(text, "\n")
		files = append(files, filepath.Join(t.TempDir(), name))
		if err := os.WriteFile(files[len(files)-1], []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify"}, files...)...).CombinedOutput()
	if err != nil || len(out) > 0 || len(files) != 2 {
		t.Errorf("%d files, error %v: %s\n%s", len(files), err, out, u)
	}
	if want := `ExecStart=/bin/sh -c "echo \"$$HOME\" 100%% 'a\\b'"`; !strings.Contains(u.String(), want) {
		t.Errorf("it does not have %s:\n%s", want, u)
	}
}
