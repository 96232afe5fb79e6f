package main

import (
	"archive/zip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// The zip of a release, unpacked as Lambda does, syncs a group, and says to AWS which release it is.
func TestReleasedZip(t *testing.T) {
	if testing.Short() || goruntime.GOOS != "linux" {
		t.Skip("compiles the function as it is released, for linux")
	}
	built, dist, deployed := t.TempDir(), filepath.Join(t.TempDir(), "dist"), t.TempDir()
	arch := goruntime.GOARCH
	for _, args := range [][]string{
		{"make", "build", "VERSION=v1.2.3", "ARCH=" + arch, "BOOTSTRAP=" + filepath.Join(built, "function-"+arch, "bootstrap")},
		{"go", "run", "./internal/release", "v1.2.3", built, dist},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = ".."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	unpack(t, filepath.Join(dist, "cloudfront-sg-sync_v1.2.3_lambda_"+map[string]string{"amd64": "x86_64", "arm64": "arm64"}[arch]+".zip"), deployed)
	defer func(own string) { bootstrap = own }(bootstrap)
	bootstrap = filepath.Join(deployed, "bootstrap")

	w := newWorld(t, ec2sim.Options{}, document)
	id := w.group("web", map[string]string{"cloudfront-ingress": "443"})
	var agent atomic.Value
	endpoint := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		agent.Store(r.UserAgent())
		w.sim.ServeHTTP(rw, r)
	}))
	t.Cleanup(endpoint.Close)
	rep := w.start(map[string]string{"AWS_ENDPOINT_URL": endpoint.URL}).succeed("{}")
	if rep.Summary.Changed != 1 || rep.Groups[0].GroupID != id {
		t.Errorf("the released function answers %+v", rep)
	}
	if got, _ := agent.Load().(string); !strings.Contains(got, "cloudfront-sg-sync/v1.2.3") {
		t.Errorf("the user agent is %q", got)
	}
}

// unpack unpacks a zip into a folder, with the modes that it has.
func unpack(t *testing.T, path, folder string) {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	for _, f := range archive.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, f.Name), data, f.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}
