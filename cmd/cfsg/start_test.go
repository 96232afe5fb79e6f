package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// BenchmarkStart starts the command from its file to its help.
func BenchmarkStart(b *testing.B) {
	cfsg := filepath.Join(b.TempDir(), "cfsg")
	if out, err := exec.Command("go", "build", "-o", cfsg, ".").CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	for b.Loop() {
		if out, err := exec.Command(cfsg, "--help").CombinedOutput(); err != nil {
			b.Fatalf("cfsg --help: %v\n%s", err, out)
		}
	}
}
