package follow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/iprange"
)

// A state is left by each run: the list that the file was made from, and an unfinished step.
type state struct {
	URL          string         `json:"url"`
	ETag         string         `json:"etag"`
	LastModified string         `json:"lastModified"`
	SyncToken    string         `json:"syncToken"`
	Published    time.Time      `json:"publishedAt"`
	Settings     string         `json:"settings"`
	IPv4         []netip.Prefix `json:"ipv4"`
	IPv6         []netip.Prefix `json:"ipv6"`
	SHA256       string         `json:"sha256"` // of the file; empty before the first success
	Boot         string         `json:"boot"`   // of the host, when the file was loaded
	Pending      step           `json:"pending,omitempty"`
	Old          bool           `json:"old,omitempty"` // while a step is pending: there is an old file to go back to
}

// A step is the progress of a replacement.
type step string

const (
	replacing step = "replacing" // the new file may be in place
	loading   step = "loading"   // the server may have loaded it
)

func newState(c iprange.Copy) state {
	p := c.Publication
	return state{
		ETag: c.ETag, LastModified: c.LastModified, SyncToken: p.SyncToken, Published: p.Published, IPv4: p.IPv4, IPv6: p.IPv6,
	}
}

// held returns the list that the file was made from.
func (s state) held() iprange.Copy {
	return iprange.Copy{
		Publication: &iprange.Publication{SyncToken: s.SyncToken, Published: s.Published, IPv4: s.IPv4, IPv6: s.IPv6},
		ETag:        s.ETag, LastModified: s.LastModified,
	}
}

// readState reads the state that the last run left, if there was one.
func (r *run) readState() error {
	text, err := os.ReadFile(r.File + ".state")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if r.saved = text; err == nil {
		if err = json.Unmarshal(text, &r.state); err != nil {
			err = hint.With(fmt.Errorf("%s.state was not written by cfsg follow: %w", r.File, err),
				"delete it to start over; the file itself may stay")
		}
	}
	return err
}

// save writes the state, unless it is unchanged.
func (r *run) save(s state) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if text = append(text, '\n'); !bytes.Equal(text, r.saved) {
		if err := writeFile(r.File+".state", text); err != nil {
			return err
		}
		r.stepped()
	}
	r.state, r.saved = s, text
	return nil
}

// writeFile replaces a whole file, and keeps its owner and mode. After a crash, the disk has the old or the new one:
// see fsync(2) about the folder.
func writeFile(path string, text []byte) error {
	mode := fs.FileMode(0o644)
	before, err := os.Stat(path)
	if err == nil {
		if !before.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file", path)
		}
		mode = before.Mode().Perm()
	}
	f, err := os.OpenFile(path+".cfsg-new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, sameOwner(f, before), f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	if folder, err := os.Open(filepath.Dir(path)); err == nil {
		_ = folder.Sync() // not every file system can
		_ = folder.Close()
	}
	return nil
}
