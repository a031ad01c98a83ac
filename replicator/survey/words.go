package survey

import (
	"strings"
	"sync"
)

// words keeps one copy of the words that come again and again, such as media
// types: a listing has each of them once for every tag. The zero value is ready.
type words struct {
	mu  sync.Mutex
	all map[string]string
}

// maxWords is more than there are media types; what comes after is not shared.
const maxWords = 256

// one returns word, in the copy that was seen first.
func (w *words) one(word string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old, ok := w.all[word]; ok {
		return old
	}
	if w.all == nil {
		w.all = map[string]string{}
	}
	if len(w.all) < maxWords {
		word = strings.Clone(word)
		w.all[word] = word
	}
	return word
}
