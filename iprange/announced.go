package iprange

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/hint"
)

var (
	// ErrStale says that the file was older than the announced one for longer than StalePatience.
	ErrStale = errors.New("stale copy")

	// ErrCorrupt says that the file has the sync token of the announced one, but another MD5.
	ErrCorrupt = errors.New("corrupt copy")
)

// corruptRefetches is how often a file with a wrong MD5 is fetched again: one cache may hold a damaged copy.
const corruptRefetches = 2

// fetchAnnounced gets the file that a notice announced, or a newer one. The notification may arrive before the caches
// have the file.
func (f *downloader) fetchAnnounced(ctx context.Context, n Notice) (Copy, error) {
	var (
		start = time.Now()
		pause = f.StalePause
		ask   = request{ifChangedFrom: f.Held}
	)
	var verdict error // on the file fetched last
	for refetches := 0; ; {
		fetched, err := f.download(ctx, ask)
		if err != nil && verdict != nil {
			return Copy{}, fmt.Errorf("%w (before that: %w)", err, verdict)
		}
		if err != nil {
			return Copy{}, err
		}
		verdict = n.check(fetched.Publication)
		ask.noCache = true
		switch {
		case verdict == nil:
			return fetched, nil
		case errors.Is(verdict, ErrCorrupt):
			if refetches++; refetches > corruptRefetches {
				return Copy{}, hint.With(fmt.Errorf("%w; fetched %d times; none of it was used", verdict, refetches), "run again later")
			}
			ask.ifChangedFrom = Copy{}
			pause = f.Pause
		case time.Since(start)+pause > f.StalePatience:
			return Copy{}, hint.With(fmt.Errorf("%w; waited %s", verdict, time.Since(start).Round(time.Second)),
				"run again in a few minutes, when the new file has reached this cache")
		}
		f.Log.WarnContext(ctx, "not the announced file, fetching again", "url", f.URL, "pause", pause, "error", verdict)
		if stop := sleep(ctx, pause); stop != nil {
			return Copy{}, fmt.Errorf("%w; no time to fetch it again: %w", verdict, stop)
		}
		pause = min(2*pause, f.StalePatience/5)
	}
}

// check reports whether p is not what the notice announced, nor newer.
func (n Notice) check(p *Publication) error {
	switch order := compareTokens(p.SyncToken, n.SyncToken); {
	case order > 0:
		return nil
	case order < 0:
		return fmt.Errorf("%w: the file served is of %s, the notification announced that of %s",
			ErrStale, describeToken(p.SyncToken), describeToken(n.SyncToken))
	}
	if sum := hex.EncodeToString(p.MD5[:]); !strings.EqualFold(sum, n.MD5) {
		return fmt.Errorf("%w: the file of %s has MD5 %s, the notification announced %s",
			ErrCorrupt, describeToken(p.SyncToken), sum, n.MD5)
	}
	return nil
}

// describeToken writes a sync token as a time, followed by the token.
func describeToken(token string) string {
	t, err := tokenTime(token)
	if err != nil {
		return quote(token)
	}
	return fmt.Sprintf("%s (sync token %s)", t.Format(time.RFC3339), token)
}
