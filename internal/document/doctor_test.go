package document

import (
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/distribution"
	"cloudfront-sg-sync/internal/doctor"
	"cloudfront-sg-sync/internal/door"
)

// A check mark means that the door was seen, that nobody else gets in, and that no viewer gets an error.
func TestDoctorMarks(t *testing.T) {
	steps := func(verdicts ...doctor.Verdict) *doctor.Report { // the worst comes last
		r := &doctor.Report{Answers: []doctor.Answer{{}}, Verdict: verdicts[len(verdicts)-1]}
		for _, v := range verdicts {
			r.Steps = append(r.Steps, doctor.Step{Name: "tls", Verdict: v})
		}
		return r
	}
	demanding := func(d doctor.Demanded) *doctor.Report {
		r := steps(doctor.OK)
		r.SecondLayer = &doctor.SecondLayer{Demanded: d}
		return r
	}
	interrupted := steps(doctor.OK, doctor.Skipped)
	interrupted.Interrupted = true
	closed := steps(doctor.OK)
	closed.Answers = nil
	seen := &Check{Report: &door.Report{}}
	for name, c := range map[string]struct {
		report *doctor.Report
		check  *Check
		mark   Mark
		says   string
	}{
		"healthy":           {demanding(doctor.Yes), seen, OK, "nothing here makes it answer"},
		"nobody looked":     {demanding(doctor.Yes), nil, Attention, "who else gets in was not looked at"},
		"anybody gets in":   {demanding(doctor.No), seen, Attention, "any distribution gets an answer"},
		"closed to us":      {closed, seen, OK, "the origin itself was not asked"},
		"to look at":        {steps(doctor.OK, doctor.Warn), seen, Attention, "something to look at: tls"},
		"cannot tell":       {steps(doctor.Warn, doctor.Unknown), seen, Attention, "cannot tell from here whether viewers get errors from this origin: tls"},
		"broken":            {steps(doctor.Warn, doctor.Unknown, doctor.Fail), seen, Failed, "viewers get errors from this origin: tls"},
		"given up too soon": {interrupted, seen, Attention, "interrupted"},
	} {
		if d := NewDoctor(c.report, c.check); d.Mark != c.mark || !strings.Contains(d.Cause, c.says) {
			t.Errorf("%s: %+v", name, d.Judgement)
		}
	}
}

// The worst of a distribution's origins is its mark.
func TestDistributionMarks(t *testing.T) {
	good := DistributionOrigin{Origin: distribution.Origin{ID: "good"}, Examinations: []Doctor{{Judgement: Judge(OK, "fine")}}}
	bad := DistributionOrigin{Origin: distribution.Origin{ID: "bad"}, Examinations: []Doctor{{Judgement: Judge(OK, "fine")}, {Judgement: Judge(Failed, "broken")}}}
	unsure := DistributionOrigin{Origin: distribution.Origin{ID: "unsure", Notes: []string{"who knows"}}, Examinations: good.Examinations}
	bucket := DistributionOrigin{Origin: distribution.Origin{ID: "bucket", LeftOut: "an S3 bucket"}}
	for name, c := range map[string]struct {
		origins  []DistributionOrigin
		disabled bool
		mark     Mark
		says     string
	}{
		"good":     {[]DistributionOrigin{good, bucket}, false, OK, "at every origin that was examined"},
		"one bad":  {[]DistributionOrigin{good, unsure, bad}, false, Failed, "origin bad: broken"},
		"unsure":   {[]DistributionOrigin{good, unsure}, false, Attention, "origin unsure: who knows"},
		"buckets":  {[]DistributionOrigin{bucket}, false, Attention, "none of its origins can be examined"},
		"disabled": {[]DistributionOrigin{good}, true, Attention, "is disabled"},
	} {
		d := Distribution{Distribution: &distribution.Distribution{Enabled: !c.disabled}, Origins: c.origins}
		for i := range d.Origins {
			d.Origins[i].Judge()
		}
		if d.Judge(); d.Mark != c.mark || !strings.Contains(d.Cause, c.says) {
			t.Errorf("%s: %+v", name, d.Judgement)
		}
	}
}
