package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// A world is what one run of one tool has to itself: a source that is filled,
// targets, and a folder. Nothing of it is left for the next run.
type world struct {
	dir     string
	source  *registrytest.Server
	targets []*registrytest.Server
	clouds  *clouds // nil if they are plain registries
}

// openWorld starts the registries of a scenario. The caller closes the world, also
// after an error.
func openWorld(s scenario, c corpus) (w *world, err error) {
	w = &world{}
	if w.dir, err = os.MkdirTemp("", "transship-bench-"); err != nil {
		return w, err
	}
	if s.Clouds {
		if err := w.openClouds(s); err != nil {
			return w, err
		}
		return w, c.load(w.source)
	}
	if w.source, err = w.start("source", s.Source, false); err != nil {
		return w, err
	}
	for n := range s.Targets {
		target, err := w.start(fmt.Sprintf("target-%d", n+1), s.Target, s.OnDisk)
		if err != nil {
			return w, err
		}
		w.targets = append(w.targets, target)
	}
	return w, c.load(w.source)
}

func (w *world) start(name string, quirks registrytest.Quirks, onDisk bool) (*registrytest.Server, error) {
	o := registrytest.Options{Quirks: quirks}
	if onDisk {
		o.Dir = filepath.Join(w.dir, "blobs", name)
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, err
		}
	}
	s, err := registrytest.Start(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

func (w *world) servers() []*registrytest.Server {
	all := append([]*registrytest.Server{}, w.targets...)
	if w.source != nil {
		all = append(all, w.source)
	}
	return all
}

// fill gives the targets what the source has, without a request.
func (w *world) fill(c corpus) error {
	for _, t := range w.targets {
		if err := t.LoadCorpus(w.under(t, c.Corpus)); err != nil {
			return err
		}
	}
	return nil
}

// add puts one more entry into the source.
func (w *world) add(e content.Entry) error { return w.source.Load(e.Repo, e.Manifest, e.Tags...) }

// calm takes latency, caps and faults away; the function that it returns brings
// them back and begins the counts anew.
func (w *world) calm() (restore func()) {
	before := map[*registrytest.Server]registrytest.Quirks{}
	for _, s := range w.servers() {
		before[s] = s.Quirks()
		s.Set(func(q *registrytest.Quirks) { q.Wire, q.Faults = registrytest.Wire{}, nil })
	}
	return func() {
		for s, quirks := range before {
			s.Set(func(q *registrytest.Quirks) { *q = quirks })
		}
		w.resetCounts()
	}
}

// nameRealms has the registries name their token services by localhost instead of
// by address.
func (w *world) nameRealms() {
	for _, s := range w.servers() {
		realm := strings.Replace(s.TokenURL(), "127.0.0.1", "localhost", 1)
		s.Set(func(q *registrytest.Quirks) { q.Realm = realm })
	}
}

// settle waits until the registries have noticed that their clients are gone, at
// most for a second, so that what is counted is final.
func (w *world) settle() {
	last := int64(-1)
	for range 50 {
		var now int64
		for _, s := range w.servers() {
			c := s.Counts()
			now += c.BytesOut + c.BytesIn + c.Total()
			for _, n := range c.Errors {
				now += n
			}
		}
		if now == last {
			return
		}
		last = now
		time.Sleep(20 * time.Millisecond)
	}
}

// folder makes a folder of the world.
func (w *world) folder(name string) (string, error) {
	dir := filepath.Join(w.dir, name)
	return dir, os.MkdirAll(dir, 0o700)
}

func (w *world) close() error {
	w.clouds.close()
	for _, s := range w.servers() {
		s.Close()
	}
	if w.dir == "" {
		return nil
	}
	return os.RemoveAll(w.dir)
}
