package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// A world is three registries and one folder that holds all that they and
// transship write. It listens on loopback only.
type world struct {
	dir   string
	home  *side
	west  *side
	north *side
	stuff *collection

	closers []func()
}

// A side is one of the registries.
type side struct {
	*registrytest.Server
	name  string // in the policy
	about string // for people
}

// Credentials of the demo's one registry that asks for some. They open nothing else.
const (
	westUser     = "demo"
	westPassword = "demo-only"
)

// mirror is what the policy puts before repository names at west.
const mirror = "mirror/"

// open makes the folder, starts the registries and fills the source. The caller
// closes the world, also after an error.
func (w *world) open(ctx context.Context, from stock, small bool) (err error) {
	if w.dir, err = os.MkdirTemp("", "transship-demo-"); err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	for _, s := range []struct {
		at     **side
		side   side
		quirks registrytest.Quirks
	}{
		{&w.home, side{name: "home", about: "the source; it redirects blob reads to a storage host"}, homeQuirks()},
		{&w.west, side{name: "west", about: "mounts, lists referrers, signs in with bearer tokens"}, westQuirks()},
		{&w.north, side{name: "north", about: "mounts nothing, no referrers API, lists in pages of 4"}, northQuirks()},
	} {
		if !small {
			s.quirks.Wire = distance()
		}
		*s.at = &s.side
		if err := w.start(&s.side, s.quirks); err != nil {
			return err
		}
	}
	if err := w.fill(ctx, from, small); err != nil {
		return fmt.Errorf("fill the source: %w", err)
	}
	return w.writePolicy()
}

// distance is the network of the normal size: slow enough to watch.
func distance() registrytest.Wire {
	return registrytest.Wire{Latency: 4 * time.Millisecond, ConnectTrips: 1, BytesPerSecond: 16e6}
}

func homeQuirks() registrytest.Quirks {
	return registrytest.Quirks{Blobs: registrytest.Blobs{Redirect: true}}
}

func westQuirks() registrytest.Quirks {
	return registrytest.Quirks{Auth: registrytest.Auth{
		Mode: registrytest.Bearer, Users: map[string]string{westUser: westPassword},
	}}
}

func northQuirks() registrytest.Quirks {
	return registrytest.Quirks{
		Listing:   registrytest.Listing{PageDefault: 4, PageMax: 4},
		Manifests: registrytest.Manifests{NoReferrers: true},
		Blobs:     registrytest.Blobs{NoMount: true},
		Uploads:   registrytest.Uploads{Location: registrytest.Relative},
	}
}

func (w *world) start(s *side, quirks registrytest.Quirks) error {
	dir, err := w.folder(s.name)
	if err != nil {
		return err
	}
	s.Server, err = registrytest.Start(registrytest.Options{Dir: dir, Quirks: quirks})
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	w.closers = append(w.closers, s.Close)
	return nil
}

// fill makes the images and puts them into the source, without a request.
func (w *world) fill(ctx context.Context, from stock, small bool) error {
	dir, err := w.folder("layers")
	if err != nil {
		return err
	}
	layers, done, err := from.pack(ctx, dir, recipes(small))
	if err != nil {
		return err
	}
	w.closers = append(w.closers, done)
	if w.stuff, err = (studio{layers, newSigner()}).collect(); err != nil {
		return err
	}
	for _, e := range w.stuff.corpus {
		if err := w.home.Load(e.Repo, e.Manifest, e.Tags...); err != nil {
			return err
		}
	}
	return nil
}

// move makes one tag of the source name something else.
func (w *world) move() error {
	e := w.stuff.moved
	return w.home.Load(e.Repo, e.Manifest, e.Tags...)
}

func (w *world) sides() []*side { return []*side{w.home, w.west, w.north} }

func (w *world) targets() []*side { return []*side{w.west, w.north} }

// at is the name of a source repository at a target.
func (w *world) at(target *side, repo string) string {
	if target == w.west {
		return mirror + repo
	}
	return repo
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) folder(name string) (string, error) {
	dir := w.path(name)
	return dir, os.Mkdir(dir, 0o700)
}

// close ends the registries and removes the folder. It may be called twice.
func (w *world) close() error {
	for _, end := range w.closers {
		end()
	}
	w.closers = nil
	if w.dir == "" {
		return nil
	}
	err := os.RemoveAll(w.dir)
	if err != nil {
		return errors.Join(fmt.Errorf("the demo's folder is left behind; remove it by hand: %s", w.dir), err)
	}
	w.dir = ""
	return nil
}
