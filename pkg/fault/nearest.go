// SPDX-License-Identifier: Apache-2.0

package fault

// Nearest returns the candidate that a person most probably meant by word, or "" when none is
// near: at most a third of its letters may differ. Of equals the first counts.
func Nearest(word string, candidates []string) string {
	best, nearest := len([]rune(word))/3+1, ""
	for _, candidate := range candidates {
		if d := distance([]rune(word), []rune(candidate)); d < best || (d == best && nearest == "") {
			best, nearest = d, candidate
		}
	}
	return nearest
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that turn a
// into b (the optimal string alignment distance).
func distance(a, b []rune) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
