package main

import (
	"archive/zip"
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
		archive, err := zip.OpenReader(zips[0])
		if err != nil {
			t.Fatal(err)
		}
		defer archive.Close()
		if err := os.CopyFS(deployed, archive); err != nil { // with the modes of the zip
			t.Fatal(err)
		}
	} else {
		target := "BOOTSTRAP=" + filepath.Join(deployed, "bootstrap")
		cmd := exec.Command("make", "-C", "..", "build", "VERSION="+version, "ARCH="+goruntime.GOARCH, target)
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
