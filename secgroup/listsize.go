package secgroup

// ListSize returns how large to make a prefix list of so many entries: with an eighth to spare, and at least one, as
// the list grows when CloudFront does. More would be a waste, as each rule that refers to the list counts as many rules
// as the list may have entries. See
// https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
func ListSize(entries int) int {
	const step = 5
	return (entries + entries/8 + step) / step * step
}
