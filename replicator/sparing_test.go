package replicator

// What the race detector makes ten times as slow is done less often under it; the
// run without it does all.

// Some is list, or every n-th of it under the race detector: for rows that differ in
// what is copied and not in what runs side by side.
func Some[T any](n int, list []T) []T {
	if !Raced {
		return list
	}
	var part []T
	for i := 0; i < len(list); i += n {
		part = append(part, list[i])
	}
	return part
}

// Fewer is usual, or so many under the race detector.
func Fewer(usual, underRace int) int {
	if Raced {
		return underRace
	}
	return usual
}
