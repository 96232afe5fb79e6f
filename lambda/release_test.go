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

// The function as it is released syncs a group, and says to AWS which release it is. `make reproduce` names the folder
// of a release, whose zip is unpacked as Lambda does; else the function is built in the same way.
func TestReleasedFunction(t *testing.T) {
	if testing.Short() || goruntime.GOOS != "linux" {
		t.Skip("compiles the function as it is released, for linux")
	}
	deployed, version := t.TempDir(), "v1.2.3"
	if dist := os.Getenv("RELEASED_DIST"); dist != "" {
		arch := strings.ReplaceAll(goruntime.GOARCH, "amd64", "x86_64")
		zips, err := filepath.Glob(filepath.Join(dist, "cloudfront-sg-sync_*_lambda_"+arch+".zip"))
		if err != nil || len(zips) != 1 {
			t.Fatalf("%s has the zips %q, %v", dist, zips, err)
		}
		version = strings.Split(filepath.Base(zips[0]), "_")[1]
		unpack(t, zips[0], deployed)
	} else {
		cmd := exec.Command("make", "build", "VERSION="+version, "ARCH="+goruntime.GOARCH, "BOOTSTRAP="+filepath.Join(deployed, "bootstrap"))
		cmd.Dir = ".."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make build: %v\n%s", err, out)
		}
	}
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
	if got, _ := agent.Load().(string); !strings.Contains(got, "cloudfront-sg-sync/"+version) {
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
