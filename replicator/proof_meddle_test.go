package replicator_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

// meddle is what others do at the targets between two passes.
func (s *trial) meddle() {
	for _, m := range []struct {
		percent int
		does    func(*rand.Rand)
	}{
		{20, s.retention}, {20, s.usurp}, {20, s.sweep}, {10, s.raze}, {10, s.prune}, {10, s.lose},
	} {
		if s.grow.chance(m.percent) {
			m.does(s.grow.Rand)
		}
	}
}

// retention takes a tag away at a target.
func (s *trial) retention(r *rand.Rand) {
	name := target(r)
	for _, repo := range repos {
		for _, tag := range []string{"t1", "t0", "t2"} {
			if _, ok := s.servers[name].Tags(repo)[tag]; ok {
				s.took(name, repo, tag)
				s.must(s.servers[name].Remove(repo, tag))
				return
			}
		}
	}
}

// usurp has somebody else move a tag at a target.
func (s *trial) usurp(r *rand.Rand) {
	name := target(r)
	for _, repo := range repos {
		if _, ok := s.servers[name].Tags(repo)["t0"]; ok {
			s.must(s.servers[name].Load(repo, s.grow.image(), "t0"))
			s.tell("somebody moves %s:t0 at %s", repo, name)
			return
		}
	}
}

// sweep is a garbage collection that takes what no manifest names yet.
func (s *trial) sweep(r *rand.Rand) {
	name, repo := target(r), repos[r.IntN(len(repos))]
	swept, err := s.servers[name].Sweep(repo)
	if err != nil && !strings.Contains(err.Error(), "not found") { // it was there a moment ago
		s.t.Error(err)
	}
	s.tell("%s sweeps %d blobs of %s", name, len(swept), repo)
}

// raze takes a whole repository away.
func (s *trial) raze(r *rand.Rand) {
	name, repo := target(r), repos[r.IntN(len(repos))]
	for tag := range s.servers[name].Tags(repo) {
		s.took(name, repo, tag)
	}
	for _, digest := range s.servers[name].Manifests(repo) {
		s.took(name, repo, digest)
	}
	for _, digest := range s.servers[name].Blobs(repo) {
		s.took(name, repo, digest.String())
	}
	_ = s.servers[name].RemoveRepository(repo) // what is swept meanwhile is gone too
	s.tell("%s loses the repository %s", name, repo)
}

// prune takes a manifest away that others may name, such as a child of an index.
func (s *trial) prune(r *rand.Rand) {
	name, repo := target(r), repos[r.IntN(len(repos))]
	all := s.servers[name].Manifests(repo)
	if len(all) == 0 {
		return
	}
	digest := all[r.IntN(len(all))]
	s.took(name, repo, digest)
	for tag, d := range s.servers[name].Tags(repo) {
		if d.String() == digest {
			s.took(name, repo, tag)
		}
	}
	s.must(s.servers[name].Remove(repo, digest))
	s.hidden()
}

// lose takes a blob away that manifests name.
func (s *trial) lose(r *rand.Rand) {
	name, repo := target(r), repos[r.IntN(len(repos))]
	all := s.servers[name].Blobs(repo)
	if len(all) == 0 {
		return
	}
	digest := all[r.IntN(len(all))]
	s.took(name, repo, digest.String())
	_ = s.servers[name].DeleteBlob(repo, digest) // or it is swept meanwhile
	s.hidden()
}

// took notes what others took away.
func (s *trial) took(name, repo, ref string) {
	s.tell("somebody takes %s %s away at %s", repo, ref, name)
	s.takenAway.add(name, repo, ref)
}

// hidden notes that something is wrong which only a check can see: a pass that
// looked for every blob each time would not be a cheap one.
func (s *trial) hidden() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unseen = true
}

// lie fills state with facts that are none: content that is nowhere, tags that
// were never put, mounts that were never refused.
func (s *trial) lie() {
	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(s.dir, "state.db"), sqlite.Options{})
	s.must(err)
	now := time.Now().Add(s.skew)
	for _, name := range s.targets {
		host := s.servers[name].Host()
		s.must(store.Learn(ctx, host, providers.CapMount, s.grow.chance(50), now))
		s.must(store.Refuse(ctx, host, state.Refusal{From: "a/one", To: "four", Until: now.Add(time.Hour)}))
		for _, repo := range append(slices.Clone(repos), "nowhere") {
			s.must(store.Put(ctx, s.untrue(ctx, store, state.Repo{Host: host, Name: repo})))
		}
	}
	s.must(store.Close())
	s.hidden()
}

// untrue is a record of what repo is said to hold.
func (s *trial) untrue(ctx context.Context, store state.Store, repo state.Repo) state.Record {
	rec := state.Record{Repo: repo}
	for _, digest := range slices.Sorted(maps.Keys(s.grow.sizes)) {
		if s.grow.chance(30) {
			rec.Present = append(rec.Present, state.Present{Digest: hash(digest), Size: s.grow.sizes[digest]})
		}
	}
	for _, digest := range s.src().Manifests(repo.Name) {
		if s.grow.chance(30) {
			rec.Present = append(rec.Present, state.Present{Digest: hash(digest)})
		}
	}
	var known []state.TargetTag
	for tag, err := range store.TargetTags(ctx, repo) {
		s.must(err)
		known = append(known, tag)
	}
	for _, tag := range known {
		if digest, ok := s.src().Tags(repo.Name)[tag.Name]; ok && s.grow.chance(50) {
			tag.Source, tag.Digest, tag.VerifiedAt = digest, digest, time.Now().Add(s.skew)
			rec.Tags = append(rec.Tags, tag)
		}
	}
	return rec
}

// someBlob is one that the source has, of more than a byte.
func (s *trial) someBlob(r *rand.Rand) v1.Hash {
	s.mu.Lock()
	defer s.mu.Unlock()
	var digests []string
	for digest, size := range s.grow.sizes {
		if size > 1 {
			digests = append(digests, digest)
		}
	}
	slices.Sort(digests)
	return hash(digests[r.IntN(len(digests))])
}
