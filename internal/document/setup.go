package document

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/setup"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// A Setup is the document of cfsg setup: docs/schema/setup.schema.json.
type Setup struct {
	Judgement
	Settings    Settings     `json:"settings"`
	Services    []string     `json:"services"`
	Within      []string     `json:"within"`
	PublishedAt time.Time    `json:"publishedAt"`
	Account     string       `json:"account"` // empty for that of the credentials
	Region      string       `json:"region"`
	Origin      setup.Origin `json:"origin"`
	Ports       []string     `json:"ports"`
	Undo        bool         `json:"undo"`
	DryRun      bool         `json:"dryRun"`
	// Interfaces are the origin's, with their groups as they were seen last.
	Interfaces []setupInterface `json:"interfaces"`
	// PrefixLists are those that setups have made for the origin.
	PrefixLists []setupList `json:"prefixLists"`
	// RulesPerPort counts what each port needs; null for an undo.
	RulesPerPort *engine.PerFamily `json:"rulesPerPort"`
	Notes        []string          `json:"notes"`
	Steps        []setup.Step      `json:"steps"`
	// Verdict says whether all that is wanted gets in at each interface, by rules that are not open to the world. It is
	// empty if that was not checked.
	Verdict     door.Verdict    `json:"verdict"`
	OpenToWorld []setup.Opening `json:"openToWorld"`
	// ShutOut are the interfaces at which an undo shuts CloudFront out.
	ShutOut []string `json:"shutOut"`
	// ForOwner is the next task of the groups' owner, so that CloudFront gets in by the lists and then nobody else
	// does; null if there is none.
	ForOwner *setup.Handover `json:"forOwner"`
	Left     []string        `json:"left"`
	// Door is the report on the whole door; nil if it was not read.
	Door *door.Report `json:"-"`
}

type setupInterface struct {
	*door.Interface
	Groups []door.GroupID `json:"groups"`
}

type setupList struct {
	PrefixListID string `json:"prefixListId"`
	Name         string `json:"name"`
	Family       string `json:"family"`
	MaxEntries   int    `json:"maxEntries"`
}

// See takes over the state of the origin.
func (d *Setup) See(state *setup.State) {
	d.PrefixLists, d.Interfaces = []setupList{}, []setupInterface{}
	for _, l := range state.Lists() {
		d.PrefixLists = append(d.PrefixLists, setupList{l.ID, l.Name, l.Family.String(), l.MaxEntries})
	}
	for _, subject := range state.Scene.Subjects {
		i := setupInterface{subject.Interface, []door.GroupID{}}
		for _, g := range subject.Groups {
			i.Groups = append(i.Groups, door.GroupID{ID: g.ID, Name: g.Name})
		}
		d.Interfaces = append(d.Interfaces, i)
	}
}

// Conclude judges the result. A next run with more flags closes rules that are still open to the world, unless a person
// has to do something first.
func (d *Setup) Conclude(err error, next Next) {
	var open, beside []secgroup.PortRange // ports; several rules may open the same one
	closable := false
	for _, o := range d.OpenToWorld {
		ports, _ := secgroup.ParsePorts(strings.Join(o.Opens, " ")) // as they were written
		switch {
		case o.Closed:
		case o.Beside:
			beside = append(beside, ports...)
		default:
			open, closable = append(open, ports...), closable || o.Advice == ""
		}
	}
	whole := door.Judgement{Mark: OK}
	if d.Door != nil {
		whole = d.Door.Judgement
	}
	again := next("setup")
	isOpen := func(ports []secgroup.PortRange, more string) string {
		return fmt.Sprintf("CloudFront gets in, and %s open to the world%s", words.PortsAre(secgroup.PortNames(secgroup.SortPorts(ports))), more)
	}
	private := slices.ContainsFunc(d.Interfaces, func(i setupInterface) bool { return !i.Public() })
	switch {
	case err != nil:
		d.Judgement = Judge(Failed, hint.Problem(err), again...)
	case d.DryRun && len(d.Steps) > 0:
		d.Judgement = Judge(Attention, fmt.Sprintf("a dry run: %s not taken", words.CountAs(len(d.Steps), "step is", "steps are")), again...)
	case d.Undo:
		d.Judgement = Judge(OK, "setup has left nothing here")
	case whole.Mark == Failed && d.Verdict == door.Open:
		d.Judgement = Judge(Failed, whole.Cause, next("check")...)
	case d.ForOwner != nil:
		d.Judgement = Judge(Attention, "the owner of the security groups has something to do, see above", again...)
	case len(open) > 0 && !closable: // a person has to do something first
		d.Judgement = Judge(Attention, isOpen(open, ", see above"), next("check")...)
	case len(open) > 0:
		d.Judgement = Judge(Attention, isOpen(open, ""), next("setup", "--close-world")...)
	case len(beside) > 0:
		ports := strings.Join(slices.Concat(d.Ports, secgroup.PortNames(secgroup.SortPorts(beside))), ",")
		d.Judgement = Judge(Attention, isOpen(beside, ""), next("setup", "--port", ports, "--close-world")...)
	case private:
		d.Judgement = Judge(Attention, "no interface has a public address, so CloudFront does not connect to it directly", next("check")...)
	case whole.Mark != OK:
		d.Judgement = Judge(whole.Mark, whole.Cause, next("check")...)
	default:
		d.Judgement = Judge(OK, fmt.Sprintf("CloudFront gets in on %s, and no rule opens that to the world", words.Ports(d.Ports)))
	}
}

// Leave lists the tasks that are left: about rules that are open to the world, and about the function that keeps the
// groups up to date. The stack is the function's, if its settings were used, and own is set if flags say otherwise.
// again says how to run setup so that it closes rules, and ownerNote how to keep the owner of a group from opening one
// again.
func (d *Setup) Leave(stack string, own bool, again string, ownerNote func(group string) string) {
	for _, o := range d.OpenToWorld {
		note := ownerNote(o.Group.ID)
		switch {
		case !o.Closed && d.ForOwner == nil: // that comes first
			d.Left = append(d.Left, fmt.Sprintf("Still open to the world: %s. %s", o, cmp.Or(o.Advice, again)))
		case o.Closed && note != "" && !slices.Contains(d.Left, note):
			d.Left = append(d.Left, note)
		}
	}
	d.Left = append(d.Left, NotAuthentication)
	settings := "Services=" + strings.Join(d.Services, ",")
	if len(d.Within) > 0 {
		settings += " Within=" + strings.Join(d.Within, ",")
	}
	left := fmt.Sprintf("Nothing to deploy: the function of stack %s has these settings and keeps the groups up to date, if its regions include %s.", stack, d.Region)
	switch {
	case stack == "":
		left = fmt.Sprintf("CloudFront's ranges change: deploy the function, which follows them (see \"Deploy\" in the README), with %s. "+
			"If it is deployed already, run this again with --stack and the name of its stack: that takes its settings.", settings)
	case own:
		left = fmt.Sprintf("Give the function of stack %s the settings that you passed as flags: %s.", stack, settings)
	}
	d.Left = append(d.Left, left)
}
