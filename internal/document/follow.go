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
		Format: format, File: file, Settings: settings, Outcome: r.Outcome, Added: words.Strings(r.Added), Removed: words.Strings(r.Removed), Loaded: r.Loaded, Output: r.Output,
	}
	has := "there is no file yet"
	if p := r.Publication; p != nil {
		d.SyncToken, d.PublishedAt = p.SyncToken, p.Published.Format(time.RFC3339)
		d.Ranges = engine.PerFamily{IPv4: len(p.IPv4), IPv6: len(p.IPv6)}
		has = fmt.Sprintf("%s has the ranges of %s", file, d.PublishedAt)
	}
	switch {
	case err != nil && r.Outcome == follow.Held:
		d.Judgement = Judge(Failed, fmt.Sprintf("held: %s; %s", hint.Problem(err), has), next("ranges")...)
	case err != nil:
		d.Judgement = Judge(Failed, fmt.Sprintf("%s: %s; %s", r.Outcome, hint.Problem(err), has), next("follow", format)...)
	case r.Outcome == follow.Updated && !r.Loaded && unread != "":
		d.Judgement = Judge(Attention, fmt.Sprintf("updated: %s, but no server reloaded them: %s", has, r.Changes()), next("follow", format, "--reload", unread)...)
	case r.Output != "":
		d.Judgement = Judge(Attention, fmt.Sprintf("%s: %s, but the script names rules in the way", r.Outcome, has))
	case r.Outcome == follow.Updated:
		d.Judgement = Judge(OK, fmt.Sprintf("updated: %s: %s", has, r.Changes()))
	default:
		d.Judgement = Judge(OK, fmt.Sprintf("%s: %s", r.Outcome, has))
	}
	return d
}
