package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
)

// asOutsideWorld is the environment variable that makes this test binary the
// outside world of cold runs, so that what it costs is not counted as theirs.
const asOutsideWorld = "CFSG_TEST_OUTSIDE_WORLD"

// serveOutsideWorld serves the published file, and EC2 with three groups that
// share its ranges. It prints its URL and ends with its standard input.
func serveOutsideWorld() error {
	file, err := readPublishedFile()
	if err != nil {
		return err
	}
	sim := ec2sim.New(ec2sim.Options{})
	here := sim.Region("", "us-east-1")
	for i := range 3 {
		tags := map[string]string{"cloudfront-ingress": "443", "cloudfront-ingress-pool": "web"}
		if _, err := here.CreateGroup(ec2sim.Group{Name: fmt.Sprint("web-", i), VPC: here.OtherVPC(), Tags: tags}); err != nil {
			return err
		}
	}
	mux := http.NewServeMux()
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

// startOutsideWorld starts the outside world in a process of its own and
// returns its URL.
func startOutsideWorld(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asOutsideWorld+"=1")
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
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal("the outside world does not start: ", err)
	}
	return strings.TrimSpace(url)
}

// BenchmarkColdRun runs bootstrap from its start to the answer of a first sync
// of three groups with the published file, and reports the processor time and
// the memory of its process.
func BenchmarkColdRun(b *testing.B) {
	if _, err := readPublishedFile(); err != nil {
		b.Skip("the published file is not here: ", err)
	}
	event, err := os.ReadFile("../events/sns.json")
	if err != nil {
		b.Fatal(err)
	}
	world := startOutsideWorld(b)
	env := map[string]string{
		"IP_RANGES_URL": world + "/ip-ranges.json", "AWS_ENDPOINT_URL": world,
		// As in the smallest function: see
		// https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
	}
	var starting, whole, resident float64
	for b.Loop() {
		b.StopTimer()
		res, err := http.Post(world+"/empty", "", nil)
		if err != nil {
			b.Fatal(err)
		}
		res.Body.Close()
		b.StartTimer()
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
	b.ReportMetric(resident/float64(b.N), "peak-MiB")
}

// cpuTime returns the processor time that a process has used so far, in
// milliseconds. See https://docs.kernel.org/scheduler/sched-stats.html
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

// peakResident returns the most memory that a process has had resident, in MiB.
// The maximum of wait4 is of no use: a child starts with that of its parent.
// See VmHWM in https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
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

// stop ends bootstrap, as Lambda ends an environment it no longer needs, and
// returns the processor time it has used.
func (r *runtime) stop() time.Duration {
	r.t.Helper()
	_ = r.cmd.Process.Kill()
	<-r.exited //nolint:errcheck // it was killed
	return r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime()
}
