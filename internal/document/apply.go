package document

import (
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
)

// An Apply is the function's report of a run, and how that ended: docs/schema/report.schema.json.
type Apply struct {
	*engine.Report
	Judgement
	Settings Settings `json:"settings"`
	// OpenToWorld are the rules that open ports which count to the world, after the run.
	OpenToWorld []door.WorldRule `json:"openToWorld"`
}

// NewApply returns the document of a run on a proposal that ended with an error, or none. The surroundings are those
// after the run.
func NewApply(report *engine.Report, p *engine.Proposal, around []Surroundings, settings Settings, err error, next Next) Apply {
	settings.Compare(p.Made())
	d := Apply{Report: report, Settings: settings, OpenToWorld: worldOf(p, around)}
	j := judge{settings: settings, next: next}
	if err != nil {
		d.Judgement = Judge(Failed, hint.Problem(err), next("plan")...)
		return d
	}
	j.settings.Others = nil // they were made equal to the settings that somebody named
	j.done = true
	d.Judgement = j.all(p, around)
	return d
}
