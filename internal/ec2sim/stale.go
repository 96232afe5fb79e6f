package ec2sim

// A state is what a site has at one moment of what calls about rules describe.
type state struct {
	groups      table[*Group]
	interfaces  table[*Interface]
	prefixLists table[*PrefixList]
}

// frozen returns a table whose resources no later call changes.
func frozen[T any, P interface {
	*T
	resource
}](t table[P],
) table[P] {
	var was []P
	for v := range t.all {
		c := *v
		was = append(was, &c)
	}
	return tableOf(t.kind, was...)
}

// remember keeps the state of a site as it is now, if [Options] ask for any.
func (s *site) remember() {
	if n := s.server.options.Remember; n > 0 {
		s.past = append(s.past, state{frozen(s.groups), frozen(s.interfaces), frozen(s.prefixLists)})
		s.past = s.past[max(0, len(s.past)-n):]
	}
}

// rewind shows a site as it was before the last changes, as far as that is remembered, until the function it returns is
// called.
func (s *site) rewind(changes int) (forward func()) {
	changes = min(changes, len(s.past)-1)
	if changes < 1 {
		return func() {}
	}
	now := s.state
	s.state = s.past[len(s.past)-1-changes]
	return func() { s.state = now }
}
