package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// An entry is a file in an archive.
type entry struct {
	name string
	data []byte
	mode fs.FileMode
}

// epoch is when each file of an archive was changed: the first moment that the zip format knows, so that an archive
// does not tell when it was made.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func writeZip(path string, entries []entry) error {
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: epoch}
		header.SetMode(e.mode)
		w, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := w.Write(e.data); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func writeTarGz(path string, entries []entry) error {
	var out bytes.Buffer
	packed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(packed)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Size: int64(len(e.data)), Mode: int64(e.mode), ModTime: epoch, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(e.data); err != nil {
			return err
		}
	}
	if err := errors.Join(archive.Close(), packed.Close()); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// completions returns what each shell has to read to complete cfsg, from one that runs on this machine. It names the
// path of that one, instead of which the shell is to run the cfsg that it finds.
func completions(cfsg string) ([]entry, error) {
	cfsg, err := filepath.Abs(cfsg)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, shell := range []string{"bash", "fish", "zsh"} {
		code, err := exec.CommandContext(context.Background(), cfsg, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("%s completion %s: %w", cfsg, shell, err)
		}
		entries = append(entries, entry{"completion/cfsg." + shell, bytes.ReplaceAll(code, []byte(cfsg), []byte("cfsg")), 0o644})
	}
	return entries, nil
}
