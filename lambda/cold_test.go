package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"
)

// asOutsideWorld is the environment variable that makes this test binary the outside world of cold runs, so that what
// it costs is not counted as theirs.
const asOutsideWorld = "CFSG_TEST_OUTSIDE_WORLD"

// The outside worlds there are: one account and region, many of them, and one with many pools.
const (
	oneAccount   = "one account"
	manyAccounts = "many accounts"
	manyPools    = "many pools"
)

// poolsInOneRegion are the pools of three groups where there are many.
const poolsInOneRegion = 1667

// fleetRegions are the regions of many accounts.
var fleetRegions = []string{"us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2"}

// fleetRoles returns the roles of many accounts.
func fleetRoles() []string {
	var roles []string
	for i := range 200 {
		roles = append(roles, fmt.Sprintf("arn:aws:iam::%012d:role/cloudfront-sg-sync", 222200000000+i))
	}
	return roles
}

// serveOutsideWorld serves the published file, SNS, and EC2 with three groups that share its ranges in each account and
// region. It prints its URL and ends with its standard input.
func serveOutsideWorld(which string) error {
	file, err := readPublishedFile()
	if err != nil {
		return err
	}
	var options ec2sim.Options
	accounts, regions := []string{""}, []string{"us-east-1"}
	if which == manyAccounts {
		accounts, regions = nil, fleetRegions
		for _, role := range fleetRoles() {
			accounts = append(accounts, strings.Split(role, ":")[4])
			options.Roles = append(options.Roles, ec2sim.Role{ARN: role})
		}
	}
	sim := ec2sim.New(options)
	here := sim.Region("", "us-east-1")
	for _, account := range accounts {
		for _, region := range regions {
			at := sim.Region(account, region)
			for i := range 3 {
				tags := map[string]string{"cloudfront-ingress": "443", "cloudfront-ingress-pool": "web"}
				if _, err := at.CreateGroup(ec2sim.Group{Name: fmt.Sprint("web-", i), VPC: at.OtherVPC(), Tags: tags}); err != nil {
					return err
				}
			}
		}
	}
	if which == manyPools {
		if err := fillPools(here, file); err != nil {
			return err
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sns/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>")
	})
	mux.Handle("/", sim)
	mux.HandleFunc("GET /ip-ranges.json", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
	})
	mux.HandleFunc("POST /empty", func(http.ResponseWriter, *http.Request) {
		for _, g := range here.Groups() {
			_ = here.SetRules(g.ID)
		}
	})
	fmt.Println(httptest.NewServer(mux).URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// fillPools makes pools of three groups that are full with all ranges of the file but one, and with one that is gone.
func fillPools(at ec2sim.Region, file []byte) error {
	every := iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true}
	p, err := iprange.Decode(bytes.NewReader(file), every)
	if err != nil {
		return err
	}
	rules := make([][]ec2sim.Rule, 3)
	for i, prefix := range p.Merged() {
		if i == 0 {
			prefix = netip.MustParsePrefix("203.0.112.0/24")
		}
		rules[i/60%3] = append(rules[i/60%3], ec2sim.Rule{
			Permission: ec2sim.TCP(443, 443, prefix), Description: "cloudfront-ingress: CLOUDFRONT 2026-01-01T00:00:00Z",
		})
	}
	for pool := range poolsInOneRegion {
		for i := range 3 {
			tags := map[string]string{"cloudfront-ingress": "443", "cloudfront-ingress-pool": fmt.Sprint("pool-", pool)}
			group := ec2sim.Group{Name: fmt.Sprintf("web-%d-%d", pool, i), VPC: at.OtherVPC(), Tags: tags, Ingress: rules[i]}
			if _, err := at.CreateGroup(group); err != nil {
				return err
			}
		}
	}
	return nil
}

// BenchmarkManyPools runs bootstrap for a change of 5,001 groups in full pools of three, in a dry run so that EC2's
// pace counts for nothing, and for one whose pools are all too small. It reports the memory of its process.
func BenchmarkManyPools(b *testing.B) {
	benchmarkPeak(b, "full", manyPools, map[string]string{"RULES_PER_GROUP": "60"}, func(b *testing.B, r *runtime) {
		sum := r.succeed(`{"dryRun":true}`).Summary
		if sum.Added != poolsInOneRegion+211 || sum.Revoked != poolsInOneRegion {
			b.Fatalf("summary %+v", sum)
		}
	})
	benchmarkPeak(b, "short", manyPools, map[string]string{"RULES_PER_GROUP": "59"}, func(_ *testing.B, r *runtime) {
		r.fail(`{"dryRun":true}`)
	})
}

// benchmarkPeak runs bootstrap in 256 MB, in a world of its own each time, and reports the memory of its process.
func benchmarkPeak(b *testing.B, name, world string, env map[string]string, run func(*testing.B, *runtime)) {
	b.Helper()
	if _, err := readPublishedFile(); err != nil {
		b.Skip("the published file is not here: ", err)
	}
	b.Run(name, func(b *testing.B) {
		var resident float64
		for b.Loop() {
			b.StopTimer()
			url := startOutsideWorld(b, world)
			b.StartTimer()
			env := maps.Clone(env)
			maps.Copy(env, map[string]string{
				"IP_RANGES_URL": url + "/ip-ranges.json", "AWS_ENDPOINT_URL": url, "AWS_ENDPOINT_URL_SNS": url + "/sns/",
				"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
			})
			r := startRuntime(b, env)
			r.timeout, r.patience = 15*time.Minute, 15*time.Minute
			run(b, r)
			resident += peakResident(b, r.cmd.Process.Pid)
			r.stop()
		}
		b.ReportMetric(resident/float64(b.N), "peak-MiB")
	})
}

// startOutsideWorld starts an outside world in a process of its own and returns its URL.
func startOutsideWorld(b *testing.B, which string) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asOutsideWorld+"="+which)
	url, stop := startProgram(b, cmd)
	b.Cleanup(func() { _ = stop() })
	return url
}

// startProgram starts a program that ends with its standard input, and returns the first line that it prints.
func startProgram(b *testing.B, cmd *exec.Cmd) (line string, stop func() error) {
	b.Helper()
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	line, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatalf("%s does not start: %q, %v", cmd.Path, line, err)
	}
	return strings.TrimSpace(line), func() error {
		_ = stdin.Close()
		return cmd.Wait()
	}
}

// BenchmarkColdRun runs bootstrap from its start to the answer of a first sync of three groups with the published file,
// in turn with a program that makes the same calls to AWS and does nothing else. It reports the processor time and the
// memory of both, and how many times as much bootstrap takes.
func BenchmarkColdRun(b *testing.B) {
	if _, err := readPublishedFile(); err != nil {
		b.Skip("the published file is not here: ", err)
	}
	event, err := os.ReadFile("../events/sns.json")
	if err != nil {
		b.Fatal(err)
	}
	floor := buildFloor(b)
	world := startOutsideWorld(b, oneAccount)
	empty := func() {
		res, err := http.Post(world+"/empty", "", nil)
		if err != nil {
			b.Fatal(err)
		}
		res.Body.Close()
	}
	env := map[string]string{
		"IP_RANGES_URL": world + "/ip-ranges.json", "AWS_ENDPOINT_URL": world,
		// As in the smallest function: see
		// https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
	}
	var starting, whole, resident, floorWhole, floorResident float64
	for b.Loop() {
		empty()
		cpu, memory := runFloor(b, floor, world)
		floorWhole += cpu
		floorResident += memory
		empty()
		r := startRuntime(b, env)
		<-r.ready
		starting += cpuTime(b, r.cmd.Process.Pid)
		if rep := r.succeed(string(event)); rep.Summary.Added != 211 {
			b.Fatalf("answer %+v", rep)
		}
		resident += peakResident(b, r.cmd.Process.Pid)
		whole += r.stop().Seconds() * 1000
	}
	b.ReportMetric(starting/float64(b.N), "start-cpu-ms")
	b.ReportMetric(whole/float64(b.N), "cpu-ms")
	b.ReportMetric(whole/floorWhole, "cpu/floor")
	b.ReportMetric(resident/float64(b.N), "peak-MiB")
	b.ReportMetric(resident/floorResident, "peak/floor")
}

// buildFloor builds the program that makes the calls of a first sync and nothing else, as bootstrap is built, and
// returns its path.
func buildFloor(b *testing.B) string {
	b.Helper()
	floor := filepath.Join(b.TempDir(), "floor")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-tags", "nethttpomithttp2", "-o", floor, "./testdata/floor")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	return floor
}

// runFloor runs that program and returns its processor time in milliseconds and its memory in MiB.
func runFloor(b *testing.B, floor, world string) (cpu, resident float64) {
	b.Helper()
	cmd := exec.Command(floor)
	cmd.Env = []string{
		"AWS_ENDPOINT_URL=" + world, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
	}
	_, stop := startProgram(b, cmd)
	resident = peakResident(b, cmd.Process.Pid)
	if err := stop(); err != nil {
		b.Fatal(err)
	}
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds() * 1000, resident
}

// BenchmarkManyAccounts runs bootstrap for a first sync of 3,000 groups in 200 accounts and five regions, with a topic
// to tell and without, and reports the memory of its process.
func BenchmarkManyAccounts(b *testing.B) {
	for name, topic := range map[string]string{"untold": "", "told": "arn:aws:sns:us-east-1:111122223333:changes"} {
		env := map[string]string{
			"REGIONS": strings.Join(fleetRegions, ","), "ROLE_ARNS": strings.Join(fleetRoles(), ","), "NOTIFY_TOPIC_ARN": topic,
		}
		benchmarkPeak(b, name, manyAccounts, env, func(b *testing.B, r *runtime) {
			if rep := r.succeed(`{}`); rep.Summary.Added != 200*5*211 {
				b.Fatalf("summary %+v", rep.Summary)
			}
		})
	}
}

// cpuTime returns the processor time that a process has used so far, in milliseconds. See
// https://docs.kernel.org/scheduler/sched-stats.html
func cpuTime(b *testing.B, pid int) float64 {
	b.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		b.Fatalf("no threads of process %d: %v", pid, err)
	}
	var sum int64
	for _, name := range threads {
		var running int64
		text, err := os.ReadFile(name)
		if err == nil {
			_, err = fmt.Sscan(string(text), &running)
		}
		if err != nil {
			b.Fatal(err)
		}
		sum += running
	}
	return float64(sum) / 1e6
}

// peakResident returns the most memory that a process has had resident, in MiB. The maximum of wait4 is of no use: a
// child starts with that of its parent. See VmHWM in https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
func peakResident(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}

// stop ends bootstrap, as Lambda ends an environment it no longer needs, and returns the processor time it has used.
func (r *runtime) stop() time.Duration {
	r.t.Helper()
	_ = r.cmd.Process.Kill()
	<-r.exited //nolint:errcheck // it was killed
	return r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime()
}
