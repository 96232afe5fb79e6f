package main

import (
	"archive/zip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The function stays small: a cold start fetches and maps it.
const (
	maxBootstrap = 19 << 20 / 2
	maxZip       = 4 << 20
)

// maxCfsg is what the operator's command may have for linux/amd64. Once the EC2 client is in an interface it has 30 MB
// more: see engine.Narrow.
const maxCfsg = 24_000_000

func TestCfsgIsSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the command for another machine")
	}
	cfsg := filepath.Join(t.TempDir(), "cfsg")
	build := exec.Command("make", "-C", "..", "cfsg", "CFSG="+cfsg)
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make cfsg: %v\n%s", err, out)
	}
	info, err := os.Stat(cfsg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cfsg has %d bytes", info.Size())
	if info.Size() > maxCfsg {
		t.Errorf("cfsg has %d bytes, %d too many", info.Size(), info.Size()-maxCfsg)
	}
}

func TestBootstrapIsSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the function for another machine")
	}
	dir := t.TempDir()
	// The recipe of build, in a folder of its own.
	out, err := exec.Command("make", "-C", "..", "build-SyncFunction", "ARTIFACTS_DIR="+dir).CombinedOutput()
	if err != nil {
		t.Fatalf("make build-SyncFunction: %v\n%s", err, out)
	}
	bootstrap, err := os.Open(filepath.Join(dir, "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	defer bootstrap.Close()
	var zipped counter
	archive := zip.NewWriter(&zipped)
	entry, err := archive.Create("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	size, err := io.Copy(entry, bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("bootstrap has %d bytes, its zip %d", size, zipped)
	if size > maxBootstrap {
		t.Errorf("bootstrap has %d bytes, %d too many", size, size-maxBootstrap)
	}
	if zipped > maxZip {
		t.Errorf("its zip has %d bytes, %d too many", zipped, zipped-maxZip)
	}
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
