package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Once the EC2 client is in an interface, the operator's command has 30 MB more: see engine.Narrow.
func TestCfsgIsSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cfsg")
	checkSize(t, "cfsg", makeProgram(t, path, "cfsg", "CFSG="+path), 24_000_000)
}

// The function stays small: a cold start fetches and maps it.
func TestBootstrapIsSmall(t *testing.T) {
	dir := t.TempDir()
	// The recipe of build, in a folder of its own.
	bootstrap := makeProgram(t, filepath.Join(dir, "bootstrap"), "build-SyncFunction", "ARTIFACTS_DIR="+dir)
	checkSize(t, "bootstrap", bootstrap, 19<<20/2)
	var zipped bytes.Buffer
	archive := zip.NewWriter(&zipped)
	entry, err := archive.Create("bootstrap")
	if err == nil {
		_, err = entry.Write(bootstrap)
	}
	if err := cmp.Or(err, archive.Close()); err != nil {
		t.Fatal(err)
	}
	checkSize(t, "its zip", zipped.Bytes(), 4<<20)
}

// makeProgram makes a program for linux and returns it.
func makeProgram(t *testing.T, path string, arguments ...string) []byte {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles for another machine")
	}
	build := exec.Command("make", append([]string{"-C", ".."}, arguments...)...)
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64") // the function's recipe sets its own
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make %s: %v\n%s", arguments, err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func checkSize(t *testing.T, name string, program []byte, most int) {
	t.Helper()
	t.Logf("%s has %d bytes", name, len(program))
	if len(program) > most {
		t.Errorf("%s has %d bytes, %d too many", name, len(program), len(program)-most)
	}
}
