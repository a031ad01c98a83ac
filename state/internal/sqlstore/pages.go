package sqlstore

import "iter"

// pageSize is how many rows an iterator reads at once.
const pageSize = 1000

// pages yields the rows of read, page by page, each after the name of the last
// row before it. Nothing is held while the consumer works. It ends after an error.
func pages[T any](read func(after string) ([]T, error), name func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for after := ""; ; {
			page, err := read(after)
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			after = name(page[len(page)-1])
		}
	}
}
