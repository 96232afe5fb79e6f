package document

import (
	"fmt"
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/follow"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
)

// A Follow says how a run of cfsg follow ended: docs/schema/follow.schema.json.
type Follow struct {
	Format      string           `json:"format"`
	File        string           `json:"file"`
	Settings    Settings         `json:"settings"`
	Outcome     follow.Outcome   `json:"outcome"`
	SyncToken   string           `json:"syncToken"`
	PublishedAt string           `json:"publishedAt"`
	Ranges      engine.PerFamily `json:"ranges"`
	Added       []string         `json:"added"`
	Removed     []string         `json:"removed"`
	Loaded      bool             `json:"loaded"`
	Output      string           `json:"output"`
	Judgement
}

// NewFollow returns the document of a run. Unread says that a server has to reload the file and no --reload does it.
func NewFollow(format, file string, settings Settings, r follow.Report, err error, unread string, next Next) Follow {
	settings.Others = []Made{}
	d := Follow{
		Format: format, File: file, Settings: settings, Outcome: r.Outcome,
		Added: words.Strings(r.Added), Removed: words.Strings(r.Removed), Loaded: r.Loaded, Output: r.Output,
	}
	has := "there is no file yet"
	if p := r.Publication; p != nil {
		d.SyncToken, d.PublishedAt = p.SyncToken, p.Published.Format(time.RFC3339)
		d.Ranges = engine.PerFamily{IPv4: len(p.IPv4), IPv6: len(p.IPv6)}
		has = fmt.Sprintf("%s has the ranges of %s", file, d.PublishedAt)
	}
	mark, cause, command := OK, fmt.Sprintf("%s: %s", r.Outcome, has), []string(nil)
	switch {
	case err != nil:
		mark, cause = Failed, fmt.Sprintf("%s: %s; %s", r.Outcome, hint.Problem(err), has)
		if command = next("follow", format); r.Outcome == follow.Held {
			command = next("ranges")
		}
	case r.Outcome == follow.Updated && !r.Loaded && unread != "":
		mark, cause = Attention, fmt.Sprintf("updated: %s, but no server reloaded them: %s", has, r.Changes())
		command = next("follow", format, "--reload", unread)
	case r.Output != "":
		mark, cause = Attention, cause+", but the script names rules in the way"
	case r.Outcome == follow.Updated:
		cause += ": " + r.Changes()
	}
	d.Judgement = Judge(mark, cause, command...)
	return d
}
