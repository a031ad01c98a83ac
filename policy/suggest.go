package policy

import (
	"fmt"
	"strings"
)

// suggest returns `; did you mean "x"?` for the candidate nearest to word, or ""
// if none is near.
func suggest(word string, candidates []string) string {
	if best := nearest(word, candidates); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return ""
}

// maxCandidates is beyond how many a near one is not worth the search.
const maxCandidates = 1000

// nearest returns the candidate with the fewest edits from word, case aside, at
// most one for three letters; the first of equals, "" if all are too far.
func nearest(word string, candidates []string) string {
	best, most := "", max(1, len(word)/3)
	if len(word) > 64 || len(candidates) > maxCandidates {
		return ""
	}
	for _, c := range candidates {
		if n := edits(strings.ToLower(word), strings.ToLower(c)); n <= most {
			best, most = c, n-1
		}
	}
	return best
}

// edits is the number of letters to insert, delete, replace or swap with their
// neighbour to make b of a (optimal string alignment).
func edits(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// quote prints text from a policy in an error, cut to what fits a line.
func quote(text string) string {
	if len(text) > 60 {
		text = text[:57] + "..."
	}
	return fmt.Sprintf("%q", text)
}

// oneOf joins values as "a, b or c".
func oneOf(values []string) string {
	if len(values) < 2 {
		return strings.Join(values, "")
	}
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}
