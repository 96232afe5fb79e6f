package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

var (
	seeds     = flag.Uint64("seeds", 0, "how many seeds the simulation runs; as many as fit into 15 s if zero")
	firstSeed = flag.Uint64("seed", 1, "the first seed of the simulation")
)

// TestSimulation lets functions, people and AWS disturb each other, as a seed says. A single run closes nothing that is
// wanted, save the gaps that it announces, and touches nothing of others. An undisturbed one is exact, or names the
// obstacle, which must be there. Once the disturbances stop, a second run changes nothing.
//
// go test ./internal/engine -run TestSimulation -seed N -seeds 1 -v repeats one seed.
func TestSimulation(t *testing.T) {
	began, gaps, happened := time.Now(), 0, map[string]int{}
	for seed := *firstSeed; ; seed++ {
		done := seed - *firstSeed
		enough := time.Since(began) > 15*time.Second || testing.Short() && done >= 20
		if *seeds > 0 && done >= *seeds || *seeds == 0 && enough {
			t.Logf("%d seeds, %d ranges closed in announced gaps, %v", done, gaps, happened)
			return
		}
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed)
				w.live(happened)
				w.converge()
				w.withdraw()
				gaps += w.announced
			})
		})
		if t.Failed() {
			t.Fatalf("repeat with: go test ./internal/engine -run TestSimulation -seed %d -seeds 1 -v", seed)
		}
	}
}

// A world is one account with groups, prefix lists, interfaces, a feed, and everybody who touches them.
type world struct {
	*rand.Rand
	*scene
	groups, lists []string
	quota         int
	blocks        []netip.Prefix // that CloudFront has: it publishes some whole, some in part, some not at all

	files []publication // the newest last
	gate  gate
	runs  int // so far
}

// A publication is a state of the published file.
type publication struct {
	token         int
	ranges        []netip.Prefix
	broken, hangs bool
}

func (p publication) time() time.Time { return time.Unix(int64(p.token), 0) }

// document is the file: every other one has the ranges in pieces, as AWS splits its blocks and joins them again.
func (p publication) document() string {
	var entries [2][]string
	for _, r := range p.ranges {
		field, list, pieces := "ip_prefix", &entries[0], []netip.Prefix{r}
		if r.Addr().Is6() {
			field, list = "ipv6_prefix", &entries[1]
		}
		if p.token%2 == 1 {
			pieces = parts(r.String(), r.Bits()+1)
		}
		for _, piece := range pieces {
			*list = append(*list, fmt.Sprintf(`{"%s":"%s","service":"CLOUDFRONT"}`, field, piece))
		}
	}
	doc := fmt.Sprintf(`{"syncToken":"%d","prefixes":[%s],"ipv6_prefixes":[%s]}`,
		p.token, strings.Join(entries[0], ","), strings.Join(entries[1], ","))
	if p.broken {
		doc = doc[:len(doc)-3]
	}
	return doc
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 0)), files: []publication{{token: 1790000000}}}
	w.blocks = slices.Concat(parts("13.0.0.0/12", 15), parts("52.0.0.0/14", 15)[:2], parts("2600:9000::/30", 32))
	size := 2 + w.IntN(30)
	if w.quota = 6 + w.IntN(40); w.IntN(12) == 0 { // more than a call takes
		w.quota, size, w.blocks = 200, 400, append(w.blocks, parts("99.84.0.0/16", 24)...)
	}
	delay := time.Duration(w.IntN(3)) * time.Second
	w.scene = newScene(t, ec2sim.Options{RulesPerGroup: w.quota, Remember: 8, PrefixListDelay: delay}, nil, nil)
	for i := range 2 + w.IntN(4) {
		g, err := w.here.CreateGroup(ec2sim.Group{Name: fmt.Sprint("group-", i), VPC: w.here.OtherVPC(), Tags: w.someTags()})
		w.must(err)
		w.groups = append(w.groups, g.ID)
		if w.IntN(4) == 0 { // another tool's, or whoever closes the world after a migration
			w.foreign(g.ID)
		}
	}
	for range w.IntN(4) {
		_, err := w.here.CreateInterface(ec2sim.Interface{VPC: w.here.OtherVPC(), Groups: w.some()})
		w.must(err)
	}
	for i := range w.IntN(3) {
		l := ec2sim.PrefixList{Name: fmt.Sprint("list-", i), Family: w.pick("IPv4", "IPv6"), MaxEntries: size + w.IntN(9)}
		w.lists = append(w.lists, w.makeList(w.here, l, w.pick("ranges", "ranges", "none")))
	}
	w.publishNext()
	return w
}

func (w *world) pick(values ...string) string { return values[w.IntN(len(values))] }

func (w *world) someTags() ec2sim.Tags {
	ports := w.pick("443", "443", "443", "443", "80 443", "http,https", "80", "443 8000-8080", "none", "none", "https,")
	tags := ec2sim.Tags{key: ports}
	if pool := w.pick("", "", "web", "web", "api"); pool != "" {
		tags[key+"-pool"] = pool
	}
	if w.IntN(5) == 0 {
		tags[key+"-mode"] = "exclusive"
	}
	return tags
}

// some returns at least one of the groups.
func (w *world) some() []string {
	ids := slices.Clone(w.groups)
	w.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids[:1+w.IntN(min(len(ids), 5))]
}

// publish puts up a newer file.
func (w *world) publishNext() {
	next := publication{token: w.newest().token + 1 + w.IntN(1000)}
	gone := 1
	if w.IntN(5) == 0 {
		gone = 4
	}
	for i, block := range w.blocks {
		half := netip.PrefixFrom(block.Addr(), block.Bits()+1)
		switch n := w.IntN(6 + gone); {
		case i == 0 || n > gone+2:
			next.ranges = append(next.ranges, block)
		case n < gone: // not published
		case n == gone: // only a part
			next.ranges = append(next.ranges, netip.PrefixFrom(block.Addr(), block.Bits()+1+w.IntN(4)))
		case n == gone+1:
			next.ranges = append(next.ranges, half)
		default: // two parts that do not join
			quarters := parts(block.String(), block.Bits()+2)
			next.ranges = append(next.ranges, quarters[0], quarters[3])
		}
	}
	next.ranges = iprange.Merge(next.ranges)
	w.files = append(w.files, next)
}

func (w *world) newest() publication { return w.files[len(w.files)-1] }

// events are what may happen in a world, the first as often as the others together.
var events = map[string]func(*world){
	"publication": func(w *world) { w.publishNext(); w.run(runOptions{}) },
	"people":      func(w *world) { w.people(); w.run(runOptions{}) },
	"both":        func(w *world) { w.people(); w.publishNext(); w.run(runOptions{}) },
	"failures":    func(w *world) { w.maybePublish(); w.run(runOptions{faults: w.faults()}) },
	"killed":      func(w *world) { w.publishNext(); w.run(runOptions{die: 1 + w.IntN(16)}) },
	"out of time": func(w *world) {
		w.publishNext()
		w.run(runOptions{limit: time.Duration(1+w.IntN(12)) * time.Second, faults: slowCalls})
	},
	"stale describes":  func(w *world) { w.maybePublish(); w.run(runOptions{lax: true, faults: w.stale()}) },
	"schedule":         func(w *world) { w.people(); w.run(runOptions{req: Request{Look: true, Watch: true}}) },
	"some groups only": func(w *world) { w.publishNext(); w.run(runOptions{req: Request{GroupIDs: w.some()}}) },
	"force":            func(w *world) { w.publishNext(); w.run(runOptions{req: Request{Force: true}}) },
	"older file":       (*world).olderFile,
	"bad file":         (*world).badFile,
	"two runs at once": (*world).twoAtOnce,
	"burst of tags":    (*world).burst,
	"operator":         (*world).operator,
}

var slowCalls = []ec2sim.Fault{slow(ec2sim.AnyAction, 700*time.Millisecond)}

// live lets some days pass.
func (w *world) live(happened map[string]int) {
	names := slices.Sorted(maps.Keys(events))
	for range 5 + w.IntN(6) {
		name := w.pick(names...)
		happened[name]++
		w.Logf("— %s", name)
		events[name](w)
		time.Sleep(time.Duration(w.IntN(48)) * time.Hour)
	}
}

func (w *world) maybePublish() {
	if w.IntN(2) == 0 {
		w.publishNext()
	}
}

// people edit rules, tags, attachments and lists.
func (w *world) people() {
	for range 1 + w.IntN(2) {
		if len(w.lists) > 0 && w.IntN(3) == 0 {
			w.editList(w.lists[w.IntN(len(w.lists))])
		} else {
			w.editGroup(w.groups[w.IntN(len(w.groups))])
		}
	}
	if w.IntN(10) == 0 {
		w.quota = max(5, w.quota+w.IntN(11)-5)
		w.here.SetQuota(w.quota)
	}
}

func (w *world) editGroup(id string) {
	g, _ := w.here.Group(id)
	n := w.IntN(7)
	switch {
	case n == 0 && len(g.Ingress) > 0:
		w.must(w.here.RemoveRules(id, g.Ingress[w.IntN(len(g.Ingress))].Permission))
	case n == 1 && len(g.Ingress) > 0:
		rules := slices.Clone(g.Ingress)
		rules[w.IntN(len(rules))].Description = w.pick("", "mine", w.someStamp())
		w.must(w.here.SetRules(id, rules...))
	case n == 2:
		w.foreign(id)
	case n <= 4:
		w.must(w.here.SetTags(id, w.someTags()))
	default:
		if interfaces := w.here.Interfaces(); len(interfaces) > 0 {
			w.must(w.here.Attach(interfaces[w.IntN(len(interfaces))].ID, w.some()...))
		}
	}
}

// foreign adds a rule that this tool has not made.
func (w *world) foreign(id string) {
	block := w.blocks[w.IntN(len(w.blocks))]
	around := netip.PrefixFrom(block.Addr(), block.Bits()-3).Masked()
	some := []ec2sim.Permission{
		ec2sim.TCP(22, 22, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(w.IntN(250))}), 24)),
		ec2sim.TCP(443, 443, block), ec2sim.TCP(443, 443, around), ec2sim.TCP(0, 65535, block),
		ec2sim.TCP(443, 443, netip.MustParsePrefix(w.pick("0.0.0.0/0", "::/0"))),
		{Protocol: "-1", From: -1, To: -1, Source: ec2sim.Source{Prefix: around}},
	}
	if len(w.lists) > 0 { // which weighs as much as the list may hold
		list := ec2sim.Source{Reference: w.lists[0]}
		some = append(some, ec2sim.Permission{Protocol: "tcp", From: 443, To: 443, Source: list})
	}
	err := w.here.AddRules(id, ec2sim.Rule{Permission: some[w.IntN(len(some))], Description: "by hand"})
	if err != nil && !strings.Contains(err.Error(), "already exists") {
		w.Fatal(err)
	}
}

// someStamp returns a description that is edited, dated in the future, or made with other settings.
func (w *world) someStamp() string {
	return key + w.pick(": edited", ": CLOUDFRONT 2027-01-01T00:00:00Z", ": OTHER 2026-01-01T00:00:00Z")
}

func (w *world) editList(id string) {
	lists := w.here.PrefixLists()
	l := lists[slices.IndexFunc(lists, func(l ec2sim.PrefixList) bool { return l.ID == id })]
	entries := slices.Clone(l.Entries)
	n := w.IntN(5)
	switch {
	case n == 0:
		w.must(w.here.SetTags(id, ec2sim.Tags{key: w.pick("ranges", "none", "everything")}))
	case n == 1 && len(entries) > 0:
		w.must(w.here.SetEntries(id, entries[1:]...))
	case n == 2 && len(entries) > 0:
		entries[0].Description = w.pick("", w.someStamp(), w.someStamp())
		w.must(w.here.SetEntries(id, entries...))
	case n == 3: // which fails if the list is fuller, or is referred to by a group without room
		in := ec2.ModifyManagedPrefixListInput{PrefixListId: &id, MaxEntries: aws.Int32(int32(2 + w.IntN(30)))}
		_, _ = ec2.NewFromConfig(w.cfg).ModifyManagedPrefixList(w.Context(), &in)
		time.Sleep(time.Minute)
	default:
		office := entry("198.51.100.0/24", "office")
		if l.Family == "IPv6" {
			office = entry("2001:db8::/32", "office")
		}
		if len(entries) < l.MaxEntries && !slices.Contains(entries, office) {
			w.must(w.here.SetEntries(id, append(entries, office)...))
		}
	}
}

func (w *world) faults() []ec2sim.Fault {
	look := w.pick(
		"DescribeNetworkInterfaces", "DescribeManagedPrefixLists", "GetManagedPrefixListEntries", "GetServiceQuota")
	kinds := []ec2sim.Fault{
		{Kind: ec2sim.Refused, Action: ec2sim.AnyMutating},
		{Kind: ec2sim.Refused, Action: ec2sim.AnyMutating, Resource: w.groups[0], Count: ec2sim.Forever},
		{Kind: ec2sim.Refused, Action: look, Count: ec2sim.Forever},
		{Kind: ec2sim.ErrorBefore, Action: ec2sim.AnyAction, Code: "RequestLimitExceeded", Count: 2},
		{Kind: ec2sim.CutAfter, Action: ec2sim.AnyMutating},
		{Kind: ec2sim.CutBefore, Action: ec2sim.AnyAction},
		{Kind: ec2sim.ErrorAfter, Action: ec2sim.AnyMutating, Code: "InternalError"},
		{Kind: ec2sim.CutAfter, Action: ec2sim.AnyMutating, Delay: time.Hour}, // a hang
		{Kind: ec2sim.CutBefore, Action: ec2sim.AnyAction, Delay: time.Hour},
	}
	f := kinds[w.IntN(len(kinds))]
	f.After = w.IntN(4)
	return []ec2sim.Fault{f}
}

func (w *world) stale() []ec2sim.Fault {
	look := w.pick("DescribeSecurityGroups", "DescribeNetworkInterfaces", "DescribeManagedPrefixLists", ec2sim.AnyAction)
	return []ec2sim.Fault{{Kind: ec2sim.Stale, Action: look, Back: 1 + w.IntN(4), Count: 1 + w.IntN(3)}}
}

// olderFile lets a cache serve an older file: what has been made from a newer one stays. With force, it goes back.
func (w *world) olderFile() {
	w.publishNext()
	w.run(runOptions{})
	old := w.files[w.IntN(len(w.files)-1)]
	if len(old.ranges) == 0 {
		return
	}
	w.run(runOptions{file: &old, req: Request{Force: w.IntN(2) == 0}})
	w.run(runOptions{file: &old})
}

// badFile serves a file that is cut off, from the future, or never: nothing changes, and the run ends in time.
func (w *world) badFile() {
	bad, limit := w.newest(), time.Hour
	switch w.IntN(3) {
	case 0:
		bad.broken = true
	case 1:
		bad.token += 400 * 24 * 3600
	default:
		bad.hangs, limit = true, time.Minute
	}
	w.calls()
	if bad := w.run(runOptions{file: &bad, limit: limit}); bad.err == nil || w.calls()["mutating"] > 0 {
		w.Errorf("a bad file: error %v", bad.err)
	}
}

// twoAtOnce makes two runs at once, on the same file or on two. One more run makes all exact.
func (w *world) twoAtOnce() {
	w.publishNext()
	files := w.files
	w.drive(w.single(runOptions{}), w.single(runOptions{file: &files[len(files)-1-w.IntN(2)]}))
	w.run(runOptions{what: "one run after two at once"})
}

// burst tags some groups, and maybe a list, one after the other. EventBridge sends an event for each.
//
// By the queue of the template, which hands on one message at a time and after a minute, runs follow each other: a pool
// may be half tagged when a run begins, and people may go on while it is under way. Without it, each event is a run.
func (w *world) burst() {
	people := w.tagging()
	switch w.IntN(3) {
	case 0: // half tagged
		half := w.IntN(len(people))
		w.act(people[:half])
		w.run(runOptions{})
		w.act(people[half:])
	case 1: // tagged while the run is under way
		w.run(runOptions{beside: people})
	default: // without the queue
		actors := []func(){w.script(people)}
		for range people {
			actors = append(actors, w.single(runOptions{}))
		}
		w.drive(actors...)
	}
	w.run(runOptions{what: "the run after a burst"})
}

// tagging returns what tags some groups alike, and maybe a list.
func (w *world) tagging() (people []func()) {
	tag := func(id string, tags ec2sim.Tags) {
		people = append(people, func() { w.must(w.here.SetTags(id, tags)) })
	}
	tags := w.someTags()
	for _, id := range w.some() {
		tag(id, tags)
	}
	if len(w.lists) > 0 {
		tag(w.lists[0], ec2sim.Tags{key: w.pick("ranges", "none")})
	}
	return people
}

func (w *world) act(people []func()) {
	for _, act := range people {
		act()
	}
}

// operator tags some groups and applies a plan, as cfsg setup and cfsg apply do, while the function follows the tags.
func (w *world) operator() {
	w.maybePublish()
	tag, apply := w.script(w.tagging()), w.engine(&caller{world: w, file: w.newest(), name: "operator"})
	w.drive(func() {
		tag()
		p, err := apply.Propose(w.Context(), Request{})
		if err == nil {
			_, err = apply.Run(w.Context(), p.Approved())
		}
		w.Logf("the operator: %v", err)
	}, w.single(runOptions{}))
	w.run(runOptions{what: "the run after the operator"})
}

// converge checks that two runs, undisturbed, make the rules exact or say why not, and that the second changes nothing.
// The first does what a proposal says.
func (w *world) converge() {
	var p *Proposal
	var err error
	w.drive(func() {
		p, err = w.engine(&caller{world: w, file: w.newest(), name: "proposal"}).Propose(w.Context(), Request{})
	})
	w.must(err)
	var planned, taken []string
	for _, step := range p.Steps() {
		planned = append(planned, step.String())
	}
	var mu sync.Mutex
	report := w.run(runOptions{what: "first run to converge", req: Request{OnStep: func(_ *Target, step secgroup.Step) {
		mu.Lock()
		defer mu.Unlock()
		taken = append(taken, step.String())
	}}})
	slices.Sort(planned)
	slices.Sort(taken)
	// A plan shows the steps that the checker refuses, and says so.
	refused := slices.ContainsFunc(report.Errors, func(text string) bool { return strings.Contains(text, ": not done: ") })
	proposed, reported := []Summary{p.Report.Summary, p.Report.Lists()}, []Summary{report.Summary, report.Lists()}
	if !refused && !slices.Equal(planned, taken) || !slices.Equal(proposed, reported) {
		w.Errorf("proposed %q %+v, took %q %+v", planned, proposed, taken, reported)
	}
	w.sim.ResetCalls()
	w.run(runOptions{what: "second run to converge"})
	same := w.newest()
	same.token++ // in pieces, or no longer
	w.run(runOptions{what: "run on the same addresses", file: &same})
	if calls := w.calls(); calls["mutating"] > 0 {
		w.Errorf("the second run, or that on the same addresses, calls %v", calls)
	}
}

// withdraw checks that a withdrawal, which needs neither file nor quota, leaves nothing of this tool, all of others.
func (w *world) withdraw() {
	withdrawn := w.run(runOptions{what: "withdrawal", req: Request{Withdraw: true}, file: &publication{broken: true}})
	if calls := w.calls(); withdrawn.err != nil || calls["GetServiceQuota"] > 0 {
		w.Errorf("error %v, calls %v", withdrawn.err, calls)
	}
	for id, h := range w.holders {
		for _, r := range h.rules {
			if h.tags[key] != "" && strings.HasPrefix(r.Description, key+":") {
				w.Errorf("%s has %v after a withdrawal", id, r.Permission)
			}
		}
	}
}

type runOptions struct {
	what   string
	req    Request
	file   *publication // the newest, if nil
	lax    bool         // it sees what is not so, and may close
	die    int          // the call that it dies at, if not zero
	limit  time.Duration
	faults []ec2sim.Fault
	beside []func() // what people do meanwhile
}

// disturbed reports whether something keeps the run from doing all that it should.
func (o *runOptions) disturbed() bool {
	return o.lax || o.die > 0 || o.limit > 0 || len(o.faults) > 0 || len(o.beside) > 0
}

// A result is what a run returns.
type result struct {
	*Report
	err error
}

// run is a single run of the function, under the eyes of the judge.
func (w *world) run(o runOptions) result {
	w.Helper()
	file := w.newest()
	if o.file != nil {
		file = *o.file
	}
	what := cmp.Or(o.what, "run")
	w.Logf("%s on %d (%d ranges): %+v %v, dies at %d", what, file.token, len(file.ranges), o.req, o.faults, o.die)
	before := w.expect(file, o.req)
	made := len(w.sim.Calls())
	wanted := file.ranges
	if o.req.Withdraw {
		wanted = nil
	}
	if !o.lax {
		w.begin(wanted)
	}
	w.sim.Inject(o.faults...)
	var report *Report
	var err error
	run := w.prepare(o)
	began := time.Now()
	w.drive(func() { report, err = run() }, w.script(o.beside))
	if took := time.Since(began); o.limit > 0 && took > o.limit+gapTime+time.Minute {
		w.Errorf("%s took %v", what, took)
	}
	w.sim.ClearFaults()
	time.Sleep(time.Minute)
	w.here.PrefixLists() // no change of a list is under way any more
	if o.lax {
		return result{report, err}
	}
	closed := w.end()
	w.Logf("%s: %v, warnings %q", what, err, report.Warnings)
	if len(closed) > 0 && o.die == 0 && !strings.Contains(fmt.Sprint(err), "CLOSED until the next run reopens it") {
		w.Errorf("%s leaves %v closed, and does not say so: %v", what, closed, err)
	}
	before.verify(w, o, file, report, err, w.sim.Calls()[made:])
	if !o.disturbed() && !file.unusable() && len(o.req.GroupIDs) == 0 && !o.req.Withdraw {
		w.exact(what, wanted, excused(w.judge, report))
	}
	return result{report, err}
}

// prepare returns a run that is made by a new engine, as by a new process.
func (w *world) prepare(o runOptions) func() (*Report, error) {
	c := &caller{world: w, file: w.newest(), name: fmt.Sprint("run ", w.runs), die: o.die}
	if w.runs++; o.file != nil {
		c.file = *o.file
	}
	e := w.engine(c)
	return func() (*Report, error) {
		ctx, kill := context.WithCancel(w.Context())
		defer kill()
		if c.kill = kill; o.limit > 0 {
			ctx, kill = context.WithTimeout(ctx, o.limit)
			defer kill()
		}
		return e.Run(ctx, o.req)
	}
}

// single is a run that nobody judges.
func (w *world) single(o runOptions) func() {
	run := w.prepare(o)
	return func() {
		_, err := run()
		w.Logf("one of the runs: %v", err)
	}
}

func (w *world) engine(c *caller) *Engine {
	cfg := w.cfg.Copy()
	cfg.HTTPClient = &http.Client{Transport: c}
	e := *w.Engine
	e.Fetch = (&iprange.Fetcher{Selection: w.fetcher.Selection, Transport: c}).Fetch
	e.Targets, e.pause = Targets(cfg, []string{"us-east-1"}, nil, ""), firstPause
	return &e
}

// drive lets the actors act at once, and returns when all have ended. Each of their calls waits for its turn, so that
// the seed decides which comes next.
func (w *world) drive(actors ...func()) {
	var acting atomic.Int64
	for _, act := range actors {
		acting.Add(1)
		go func() {
			defer acting.Add(-1)
			act()
		}()
	}
	for {
		synctest.Wait()
		if acting.Load() == 0 {
			return
		}
		if !w.gate.next(w.IntN) {
			time.Sleep(time.Second) // they wait themselves
		}
	}
}

// script returns an actor who does one thing after the other.
func (w *world) script(things []func()) func() {
	return func() {
		for _, thing := range things {
			_ = w.gate.wait(w.Context(), "people")
			thing()
		}
	}
}

// A gate holds calls until it is their turn.
type gate struct {
	mu      sync.Mutex
	waiting []waiting
}

type waiting struct {
	order string // for a choice that does not depend on chance
	turn  chan struct{}
}

func (g *gate) wait(ctx context.Context, order string) error {
	turn := make(chan struct{})
	g.mu.Lock()
	g.waiting = append(g.waiting, waiting{order, turn})
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// next lets one of the calls that wait go, and reports whether there was any.
func (g *gate) next(choose func(int) int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		return false
	}
	slices.SortFunc(g.waiting, func(a, b waiting) int { return cmp.Compare(a.order, b.order) })
	i := choose(len(g.waiting))
	close(g.waiting[i].turn)
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// A caller is the transport of one run. The run may die at a call: half of the time after that took effect.
type caller struct {
	*world
	file publication
	name string
	die  int
	kill func()
	n    atomic.Int64
}

var errKilled = errors.New("the run is dead")

func (c *caller) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err := c.gate.wait(req.Context(), c.name+string(body)); err != nil {
		return nil, err
	}
	n := int(c.n.Add(1))
	if c.die == 0 || n < c.die {
		return c.answer(req)
	}
	if n == c.die && c.die%2 == 0 {
		if res, err := c.answer(req); err == nil {
			_ = res.Body.Close()
		}
	}
	c.kill()
	return nil, errKilled
}

// answer gives the published file, and passes calls on to EC2.
func (c *caller) answer(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet && c.file.hangs {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	if req.Method == http.MethodGet {
		return transport(c.file.document).RoundTrip(req)
	}
	return c.sim.RoundTrip(req)
}
