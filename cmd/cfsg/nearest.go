package main

// nearest returns the name that is most like a word, or nothing if none is.
func nearest(word string, names []string) string {
	found, least := "", len(word)/2+1 // farther than that is no likeness
	for _, name := range names {
		if d := distance(word, name); d > 0 && d < least {
			found, least = name, d
		}
	}
	return found
}

// distance returns how many letters have to be inserted, deleted or replaced to make one word the other: the
// Levenshtein distance, by the algorithm of Wagner and Fischer with one row of its table at a time.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
