package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/transship/transship/providers/registrytest"
)

// A world is three clouds' registries and one folder that holds all that they and
// transship write. It listens on loopback only.
type world struct {
	dir    string
	aws    *side
	google *side
	azure  *side
	clouds clouds
	stuff  *collection

	closers []func()
}

// A side is one of the registries.
type side struct {
	*registrytest.Server
	name  string // in the policy
	about string // for people
	calls func() calls
}

// mirror is what the policy puts before repository names at google, where a path is
// project/repository/image.
const mirror = "acme/mirror/"

// open makes the folder, starts the registries and fills the source. The caller
// closes the world, also after an error.
func (w *world) open(ctx context.Context, from stock, small bool) (err error) {
	if w.dir, err = os.MkdirTemp("", "transship-demo-"); err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	if err := w.start(small); err != nil {
		return err
	}
	w.setEnvironment()
	if err := w.fill(ctx, from, small); err != nil {
		return fmt.Errorf("fill the source: %w", err)
	}
	return w.writePolicy()
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
		if err := w.aws.Load(e.Repo, e.Manifest, e.Tags...); err != nil {
			return err
		}
	}
	return nil
}

// move makes one tag of the source name something else.
func (w *world) move() error {
	e := w.stuff.moved
	return w.aws.Load(e.Repo, e.Manifest, e.Tags...)
}

func (w *world) sides() []*side { return []*side{w.aws, w.google, w.azure} }

func (w *world) targets() []*side { return []*side{w.google, w.azure} }

// at is the name of a source repository at a target.
func (w *world) at(target *side, repo string) string {
	if target == w.google {
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
