package ec2sim

// A state is what a site had at one moment of what calls about rules describe.
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
	was := table[P]{kind: t.kind}
	for v := range t.all {
		c := *v
		was.put(&c)
	}
	return was
}

// remember keeps the state of a site as it is now, if [Options] ask for any.
func (s *site) remember() {
	if s.server.remembered == 0 {
		return
	}
	s.past = append(s.past, state{frozen(s.groups), frozen(s.interfaces), frozen(s.prefixLists)})
	if len(s.past) > s.server.remembered {
		s.past = s.past[1:]
	}
}

// rewind shows a site as it was before the last changes, as far as that is remembered, until the function it returns is
// called.
func (s *site) rewind(changes int) (forward func()) {
	changes = min(changes, len(s.past)-1)
	if changes < 1 {
		return func() {}
	}
	now := state{s.groups, s.interfaces, s.prefixLists}
	s.show(s.past[len(s.past)-1-changes])
	return func() { s.show(now) }
}

func (s *site) show(st state) {
	s.groups, s.interfaces, s.prefixLists = st.groups, st.interfaces, st.prefixLists
}
