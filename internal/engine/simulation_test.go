package engine_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"go4.org/netipx"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/iprange"
)

var (
	seeds     = flag.Uint64("seeds", 0, "how many seeds the simulation runs; as many as fit into 15 s if zero")
	firstSeed = flag.Uint64("seed", 1, "the first seed of the simulation")
)

// TestSimulation lets functions, people and AWS disturb each other, as a seed says. A single run closes nothing that is
// wanted, save the gaps that it announces. Once the disturbances stop, two runs make the rules exact or name the
// obstacle, and the second changes nothing.
//
// go test ./internal/engine -run TestSimulation -seed N -seeds 1 -v repeats one seed.
func TestSimulation(t *testing.T) {
	began, gaps := time.Now(), 0
	for seed := *firstSeed; ; seed++ {
		done := seed - *firstSeed
		if *seeds > 0 && done >= *seeds || *seeds == 0 && (time.Since(began) > 15*time.Second || testing.Short() && done >= 20) {
			t.Logf("%d seeds, %d ranges closed in announced gaps", done, gaps)
			return
		}
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed)
				w.live()
				w.converge()
				gaps += w.announced
			})
		})
		if t.Failed() {
			t.Fatalf("repeat with: go test ./internal/engine -run TestSimulation -seed %d -seeds 1 -v", seed)
		}
	}
}

// simulationKey is the tag key of the groups.
const simulationKey = "cloudfront-ingress"

// A world is one account with groups, interfaces, a feed, and everybody who touches them.
type world struct {
	*rand.Rand
	t     *testing.T
	sim   *ec2sim.Server
	here  ec2sim.Region
	ids   []string // groups
	token int
	feed  []netip.Prefix

	strict    bool           // whether a wanted address that closes is a fault of the run under way
	gaps      []netip.Prefix // that the run under way has announced
	announced int
	open      map[string]*netipx.IPSet // by interface and port
	mu        sync.Mutex               // of gaps: pools are applied side by side
}

func newWorld(t *testing.T, seed uint64) *world {
	time.Sleep(time.Until(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))) // the fake clock begins in 2000
	w := &world{Rand: rand.New(rand.NewPCG(seed, 0)), t: t, token: 1790000000, open: map[string]*netipx.IPSet{}}
	w.sim = ec2sim.New(ec2sim.Options{RulesPerGroup: 6 + w.IntN(30), Remember: 8})
	w.here = w.sim.Region("", "us-east-1")
	pools := []string{"", "", "web", "web", "api"}
	for i := range 2 + w.IntN(4) {
		tags := map[string]string{simulationKey: w.ports()}
		if pool := pools[w.IntN(len(pools))]; pool != "" {
			tags[simulationKey+"-pool"] = pool
		}
		g, err := w.here.CreateGroup(ec2sim.Group{Name: fmt.Sprint("group-", i), VPC: w.here.OtherVPC(), Tags: tags})
		if err != nil {
			t.Fatal(err)
		}
		w.ids = append(w.ids, g.ID)
	}
	for range 1 + w.IntN(3) {
		if _, err := w.here.CreateInterface(ec2sim.Interface{VPC: w.here.OtherVPC(), Groups: w.some()}); err != nil {
			t.Fatal(err)
		}
	}
	w.publish()
	w.sim.Observe(w.look)
	return w
}

func (w *world) ports() string {
	return []string{"443", "443", "443", "80 443", "80", "none"}[w.IntN(6)]
}

// some returns at least one of the groups.
func (w *world) some() []string {
	ids := slices.Clone(w.ids)
	w.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids[:1+w.IntN(min(len(ids), 5))]
}

// publish puts up a newer file: some ranges go, some come, some split or join.
func (w *world) publish() {
	w.token += 1 + w.IntN(1000)
	var next []netip.Prefix
	for i := range 12 {
		block := netip.PrefixFrom(netip.AddrFrom4([4]byte{13, byte(16 * i), 0, 0}), 15)
		switch w.IntN(6) {
		case 0: // not published
		case 1: // only a part
			next = append(next, netip.PrefixFrom(block.Addr(), 16+w.IntN(4)))
		case 2: // two parts that do not join
			next = append(next, netip.PrefixFrom(block.Addr(), 17), netip.PrefixFrom(netip.AddrFrom4([4]byte{13, byte(16*i + 1), 0, 0}), 17))
		default:
			next = append(next, block)
		}
	}
	if len(next) == 0 {
		next = append(next, netip.MustParsePrefix("13.0.0.0/15"))
	}
	w.feed = iprange.Merge(next)
}

func (w *world) document() string {
	var entries []string
	for _, p := range w.feed {
		entries = append(entries, fmt.Sprintf(`{"ip_prefix":"%s","service":"CLOUDFRONT"}`, p))
	}
	return fmt.Sprintf(`{"syncToken":"%d","prefixes":[%s],"ipv6_prefixes":[]}`, w.token, strings.Join(entries, ","))
}

// live lets some days pass.
func (w *world) live() {
	for range 4 + w.IntN(5) {
		switch w.IntN(8) {
		case 0, 1:
			w.publish()
			_, _ = w.run("run after a publication", true, 0)
		case 2:
			w.people()
			_, _ = w.run("run after people", true, 0)
		case 3:
			_, _ = w.run("run among failures", true, 0, w.faults()...)
		case 4:
			w.publish()
			_, _ = w.run("run that is killed", true, 1+w.IntN(12))
		case 5:
			_, _ = w.run("run on stale describes", false, 0, ec2sim.Fault{Kind: ec2sim.Stale, Action: "DescribeSecurityGroups", Back: 1 + w.IntN(4)})
		case 6:
			w.people()
			w.publish()
			_, _ = w.run("run", true, 0)
		case 7:
			w.sideBySide()
		}
	}
}

// people edit rules, tags and attachments.
func (w *world) people() {
	id := w.ids[w.IntN(len(w.ids))]
	g, _ := w.here.Group(id)
	w.strict = false
	var err error
	switch w.IntN(5) {
	case 0:
		if len(g.Ingress) > 0 {
			err = w.here.RemoveRules(id, g.Ingress[w.IntN(len(g.Ingress))].Permission)
		}
	case 1:
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(w.IntN(250)), byte(w.IntN(250)), 0}), 24)
		err = w.here.AddRules(id, ec2sim.Rule{Permission: ec2sim.TCP(22, 22, p), Description: "ssh"})
	case 2:
		tags := map[string]string{}
		maps.Copy(tags, g.Tags)
		tags[simulationKey] = w.ports()
		err = w.here.SetTags(id, tags)
	default:
		interfaces := w.here.Interfaces()
		err = w.here.Attach(interfaces[w.IntN(len(interfaces))].ID, w.some()...)
	}
	if err != nil && !strings.Contains(err.Error(), "Duplicate") {
		w.t.Fatal(err)
	}
}

func (w *world) faults() []ec2sim.Fault {
	kinds := []ec2sim.Fault{
		{Kind: ec2sim.Refused, Action: ec2sim.AnyMutating},
		{Kind: ec2sim.ErrorBefore, Action: ec2sim.AnyAction, Code: "RequestLimitExceeded", Count: 2},
		{Kind: ec2sim.CutAfter, Action: ec2sim.AnyMutating},
		{Kind: ec2sim.CutBefore, Action: ec2sim.AnyAction},
		{Kind: ec2sim.ErrorAfter, Action: ec2sim.AnyMutating, Code: "InternalError"},
		{Kind: ec2sim.CutAfter, Action: ec2sim.AnyMutating, Delay: time.Hour}, // a hang
	}
	f := kinds[w.IntN(len(kinds))]
	f.After = w.IntN(4)
	return []ec2sim.Fault{f}
}

// run is one run of the function, which dies at a call if die is not zero.
func (w *world) run(what string, strict bool, die int, faults ...ec2sim.Fault) (*engine.Report, error) {
	w.sim.Inject(faults...)
	w.strict, w.gaps = strict, nil
	w.t.Logf("%s: %d ranges, %v", what, len(w.feed), faults)
	ctx, kill := context.WithCancel(w.t.Context())
	defer kill()
	report, err := w.engine(&mortal{w: w, die: die, kill: kill}).Run(ctx, engine.Request{})
	w.sim.ClearFaults()
	return report, err
}

func (w *world) engine(transport http.RoundTripper) *engine.Engine {
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1"), HTTPClient: &http.Client{Transport: transport, Timeout: time.Minute},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	}
	fetcher := &iprange.Fetcher{Selection: iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true}, Transport: transport}
	return &engine.Engine{
		Fetch: fetcher.Fetch, Services: fetcher.Selection.Services, Targets: engine.Targets(cfg, []string{"us-east-1"}, nil, ""),
		TagKey: simulationKey, MaxRevokePercent: 50, Log: slog.New(announcements{slog.DiscardHandler, w}),
	}
}

// sideBySide makes two runs at once. Each call of theirs waits until it is let go, so that the seed decides which of
// the two comes next. Afterwards, one more run makes all exact.
func (w *world) sideBySide() {
	w.publish()
	w.strict, w.gaps = false, nil
	w.t.Logf("two runs at once: %d ranges", len(w.feed))
	turns := &turnstile{w: w}
	running := 2
	var mu sync.Mutex
	for run := range 2 {
		go func() {
			_, _ = w.engine(&gated{turns, run}).Run(w.t.Context(), engine.Request{})
			mu.Lock()
			running--
			mu.Unlock()
		}()
	}
	for {
		synctest.Wait()
		mu.Lock()
		left := running
		mu.Unlock()
		if left == 0 {
			break
		}
		if !turns.next() {
			time.Sleep(time.Second) // they wait themselves
		}
	}
	w.exact("one run after two at once", w.run)
}

// converge checks that two runs, undisturbed, make the rules exact or say why not, and that the second changes nothing.
func (w *world) converge() {
	if _, err := w.run("first run to converge", true, 0); err != nil {
		w.t.Logf("the first run: %v", err)
	}
	w.sim.ResetCalls()
	w.exact("second run to converge", w.run)
	for _, c := range w.sim.ResetCalls() {
		if c.Mutating {
			w.t.Errorf("the second run calls %s of %s", c.Action, c.Resource)
		}
	}
}

// exact makes a run and checks that the groups of each pool then have the wanted rules and no other owned ones, unless
// the run names the obstacle.
func (w *world) exact(what string, run func(string, bool, int, ...ec2sim.Fault) (*engine.Report, error)) {
	report, err := run(what, true, 0)
	if err != nil || len(report.Warnings) > 0 {
		w.t.Logf("%s: %v, warnings %q", what, err, report.Warnings)
		return
	}
	for _, g := range w.here.Groups() {
		if g.Tags[simulationKey] == "" {
			continue
		}
		wanted := wantedPorts(g)
		for _, r := range g.Ingress {
			if strings.HasPrefix(r.Description, simulationKey+":") && (!slices.Contains(wanted, r.From) || !slices.Contains(w.feed, r.Source.Prefix)) {
				w.t.Errorf("%s: %s keeps %v", what, g.ID, r.Permission)
			}
		}
		for _, port := range wanted {
			for _, p := range w.feed {
				if !slices.ContainsFunc(w.here.Groups(), func(o ec2sim.Group) bool {
					return samePool(g, o) && slices.ContainsFunc(o.Ingress, func(r ec2sim.Rule) bool { return r.Permission == ec2sim.TCP(port, port, p) })
				}) {
					w.t.Errorf("%s: no group of the pool of %s has %v on port %d", what, g.ID, p, port)
				}
			}
		}
	}
}

func samePool(a, b ec2sim.Group) bool {
	pool := a.Tags[simulationKey+"-pool"]
	return a.ID == b.ID || pool != "" && pool == b.Tags[simulationKey+"-pool"]
}

// wantedPorts reads the tag of a group, which is readable here.
func wantedPorts(g ec2sim.Group) (ports []int32) {
	for _, port := range []int32{80, 443} {
		if slices.Contains(strings.Fields(g.Tags[simulationKey]), fmt.Sprint(port)) {
			ports = append(ports, port)
		}
	}
	return ports
}

// look compares what is open at each interface with what was before the last change.
func (w *world) look(c ec2sim.Change) {
	groups, interfaces := c.All()
	for _, i := range interfaces {
		for _, port := range []int32{80, 443} {
			var now netipx.IPSetBuilder
			listed := false
			for _, id := range i.Groups {
				g := groups[id]
				if g.Tags[simulationKey] == "" {
					continue
				}
				listed = listed || slices.Contains(wantedPorts(g), port)
				for _, r := range g.Ingress {
					if r.Protocol == "tcp" && r.From <= port && port <= r.To && r.Source.Prefix.IsValid() {
						now.AddPrefix(r.Source.Prefix)
					}
				}
			}
			key := fmt.Sprint(i.ID, " ", port)
			open, _ := now.IPSet()
			before := w.open[key]
			w.open[key] = open
			if before != nil && listed && w.strict {
				w.closed(c.Call, key, before, open)
			}
		}
	}
}

func (w *world) closed(c ec2sim.Call, where string, before, after *netipx.IPSet) {
	var lost, wanted netipx.IPSetBuilder
	for _, p := range w.feed {
		wanted.AddPrefix(p)
	}
	want, _ := wanted.IPSet()
	lost.AddSet(before)
	lost.RemoveSet(after)
	lost.Intersect(want)
	w.mu.Lock()
	for _, p := range w.gaps {
		lost.RemovePrefix(p)
	}
	w.mu.Unlock()
	if set, _ := lost.IPSet(); len(set.Prefixes()) > 0 {
		w.t.Errorf("%s of %s closes %v at %s", c.Action, c.Resource, set.Prefixes(), where)
	}
}

// announcements notes the gaps that a run announces in its log.
type announcements struct {
	slog.Handler
	w *world
}

func (announcements) Enabled(context.Context, slog.Level) bool { return true }

func (l announcements) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if ranges, ok := a.Value.Any().([]netip.Prefix); ok {
			l.w.mu.Lock()
			l.w.gaps = append(l.w.gaps, ranges...)
			l.w.announced += len(ranges)
			l.w.mu.Unlock()
		}
		return true
	})
	return nil
}

// answer gives the published file, and passes calls on to EC2.
func (w *world) answer(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		return w.sim.RoundTrip(req)
	}
	doc := w.document()
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Request: req, ContentLength: int64(len(doc)), Body: io.NopCloser(strings.NewReader(doc)),
	}, nil
}

var errKilled = errors.New("the run is dead")

// mortal is the transport of a run that dies at a call: half of the time after it took effect.
type mortal struct {
	w    *world
	die  int
	kill func()
	mu   sync.Mutex
	n    int
}

func (m *mortal) RoundTrip(req *http.Request) (*http.Response, error) {
	m.mu.Lock()
	m.n++
	n := m.n
	m.mu.Unlock()
	if m.die == 0 || n < m.die {
		return m.w.answer(req)
	}
	if n == m.die && m.die%2 == 0 {
		if res, err := m.w.answer(req); err == nil {
			_ = res.Body.Close()
		}
	}
	m.kill()
	return nil, errKilled
}

// A turnstile holds calls until it is their turn.
type turnstile struct {
	w       *world
	mu      sync.Mutex
	waiting []waiting
}

type waiting struct {
	order string // for a deterministic choice
	gate  chan struct{}
}

// next lets one of the calls that wait go, and reports whether there was any.
func (s *turnstile) next() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return false
	}
	slices.SortFunc(s.waiting, func(a, b waiting) int { return cmp.Compare(a.order, b.order) })
	i := s.w.IntN(len(s.waiting))
	close(s.waiting[i].gate)
	s.waiting = slices.Delete(s.waiting, i, i+1)
	return true
}

// gated is the transport of one of two runs at once.
type gated struct {
	*turnstile
	run int
}

func (g *gated) RoundTrip(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		read, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(read)
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(strings.NewReader(body))
	}
	gate := make(chan struct{})
	g.mu.Lock()
	g.waiting = append(g.waiting, waiting{fmt.Sprint(g.run, body), gate})
	g.mu.Unlock()
	select {
	case <-gate:
		return g.w.answer(req)
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}
