package replicator_test

import (
	"math/rand/v2"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers/registrytest"
)

// Faults of schedules that are lies. TestLies looks at each of them alone.

// pretended answers a manifest's PUT and stores nothing. A target that takes indexes
// without their children cannot be caught at that: there, uploads are pretended.
func pretended(r *rand.Rand, s *trial) fault {
	side := target(r)
	if s.servers[side].Quirks().SparseIndex {
		return unstored(r, s)
	}
	f := at("manifests are not stored", side, 0.15, 6, 0, registrytest.Fault{Pretend: true}, registrytest.ManifestPut)
	f.turn = func(*registrytest.Quirks) { s.unseen = true }
	return f
}

func unstored(r *rand.Rand, _ *trial) fault {
	return at("uploads are not stored", target(r), 0.15, 6, 0, registrytest.Fault{Pretend: true}, registrytest.UploadPut, registrytest.Mount)
}

func disagreeing(r *rand.Rand, _ *trial) fault {
	return fault{name: "HEAD and GET disagree", side: anySide(r), turn: func(q *registrytest.Quirks) { q.HeadDisagrees = true }}
}

func misnamed(r *rand.Rand, _ *trial) fault {
	return fault{name: "wrong digest headers", side: anySide(r), turn: func(q *registrytest.Quirks) { q.WrongDigestHeader = true }}
}

func circle(r *rand.Rand, _ *trial) fault {
	return fault{name: "pages in a circle", side: anySide(r), turn: func(q *registrytest.Quirks) { q.Circle = true }}
}

func endless(r *rand.Rand, _ *trial) fault {
	return at("endless bodies", anySide(r), 0.15, 4, 0, registrytest.Fault{Break: registrytest.Endless},
		registrytest.Tags, registrytest.ManifestGet, registrytest.BlobGet, registrytest.Referrers)
}

func zipped(r *rand.Rand, _ *trial) fault {
	return at("gzip unasked", anySide(r), 0.15, 6, 0, registrytest.Fault{Break: registrytest.Gzip},
		registrytest.Tags, registrytest.ManifestGet, registrytest.BlobGet, registrytest.Referrers)
}

func dripping(r *rand.Rand, _ *trial) fault {
	return at("a drip", "src", 0.15, 3, 1000, registrytest.Fault{Break: registrytest.Drip, For: idle / 8},
		registrytest.ManifestGet, registrytest.BlobGet, registrytest.Storage)
}

// strangers are listed as referrers of everything: what is not there, and what
// refers to something else.
func strangers(r *rand.Rand, s *trial) fault {
	return fault{name: "strangers refer", side: anySide(r), turn: func(q *registrytest.Quirks) {
		list := []v1.Descriptor{{MediaType: types.OCIManifestSchema1, Size: 3, Digest: s.someBlob(r)}}
		for _, repo := range repos {
			all := s.src().Manifests(repo)
			m, _ := s.src().Resolve(repo, all[r.IntN(len(all))])
			list = append(list, m.Descriptor())
		}
		q.MoreReferrers = list
	}}
}

// meddled is what others do to a target in the middle of a pass.
func meddled(r *rand.Rand, _ *trial) fault {
	k, own := r.IntN(5), rand.New(rand.NewPCG(r.Uint64(), 3))
	return fault{name: "somebody meddles", side: target(r), now: func(s *trial) {
		[]func(*rand.Rand){s.sweep, s.raze, s.prune, s.lose, s.retention}[k](own)
	}}
}

// unlogged are faults of which the log does not tell which reads they broke.
func (s *trial) unlogged() bool {
	return slices.ContainsFunc([]string{"body long", "a portal's page", "stalled answer", "stalled upload", "a drip"}, s.has)
}

// slow reports whether clients have to be hurried, so that a schedule ends.
func (s *trial) slow() bool {
	return slices.ContainsFunc([]string{"stalled answer", "stalled upload", "a drip"}, s.has)
}
