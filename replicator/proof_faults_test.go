package replicator_test

import (
	"math/rand/v2"
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// A fault is one thing that goes wrong in a trial while faults are on.
type fault struct {
	name string
	side string
	rule *registrytest.Rule         // at a rate
	turn func(*registrytest.Quirks) // on with the faults
	now  func(*trial)               // once, in the middle of a pass
	mend func(*trial)               // before the clean pass
}

var (
	reads  = []registrytest.Class{registrytest.BlobGet, registrytest.Storage}
	writes = []registrytest.Class{registrytest.UploadPut, registrytest.UploadPost, registrytest.Mount, registrytest.ManifestPut}
)

// drawFaults draws three of different kinds.
func (s *trial) drawFaults() []fault {
	r := s.grow.Rand
	kinds := []func(*rand.Rand, *trial) fault{
		throttled, throttledFor, unavailable, resetAnswer, resetUpload, cutAnswer, wrongLength, flipped,
		stalled, stalledUpload, lostAnswer, expired, moved, ghosts, damaged, readOnly, forgotten, webPage, full,
		pretended, unstored, disagreeing, misnamed, circle, endless, zipped, dripping, strangers, meddled,
	}
	r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	var list []fault
	for _, kind := range kinds[:4] {
		list = append(list, kind(r, s))
	}
	return list
}

// anySide is the source or a target.
func anySide(r *rand.Rand) string { return []string{"src", "one", "two"}[r.IntN(3)] }

func target(r *rand.Rand) string { return []string{"one", "two"}[r.IntN(2)] }

// at makes a fault of a rule.
func at(name, side string, rate float64, most int64, within int64, f registrytest.Fault, classes ...registrytest.Class) fault {
	return fault{name: name, side: side, rule: &registrytest.Rule{Classes: classes, Rate: rate, Max: most, Within: within, Fault: f}}
}

func throttled(r *rand.Rand, _ *trial) fault {
	return at("429", anySide(r), 0.15, 40, 0, registrytest.Throttled(""))
}

func throttledFor(r *rand.Rand, _ *trial) fault {
	after := []string{"0", "Mon, 02 Jan 2006 15:04:05 GMT", "soon"}[r.IntN(3)]
	if r.IntN(8) == 0 {
		after = "1"
	}
	return at("429 with Retry-After "+after, anySide(r), 0.1, 8, 0, registrytest.Throttled(after))
}

func unavailable(r *rand.Rand, _ *trial) fault {
	return at("503", anySide(r), 0.15, 40, 0, registrytest.Unavailable(""))
}

func resetAnswer(_ *rand.Rand, _ *trial) fault {
	return at("reset in an answer", "src", 0.3, 12, 200_000, registrytest.Fault{Break: registrytest.Reset}, reads...)
}

func resetUpload(r *rand.Rand, _ *trial) fault {
	return at("reset in an upload", target(r), 0.3, 12, 100_000, registrytest.Fault{Break: registrytest.ResetUpload}, registrytest.UploadPut)
}

func cutAnswer(_ *rand.Rand, _ *trial) fault {
	return at("cut answer", "src", 0.3, 12, 100_000, registrytest.Fault{Break: registrytest.Truncate}, append(reads, registrytest.ManifestGet)...)
}

func wrongLength(r *rand.Rand, _ *trial) fault {
	kind := []registrytest.Break{registrytest.Short, registrytest.Long}[r.IntN(2)]
	return at("body "+string(kind), "src", 0.25, 6, 3000, registrytest.Fault{Break: kind}, reads...)
}

func flipped(_ *rand.Rand, _ *trial) fault {
	return at("flipped bit", "src", 0.25, 6, 5000, registrytest.Fault{Break: registrytest.Flip}, append(reads, registrytest.ManifestGet)...)
}

func stalled(_ *rand.Rand, _ *trial) fault {
	return at("stalled answer", "src", 0.2, 3, 100_000, registrytest.Fault{Break: registrytest.Stall}, reads...)
}

func stalledUpload(r *rand.Rand, _ *trial) fault {
	return at("stalled upload", target(r), 0.2, 3, 3000, registrytest.Fault{Break: registrytest.StallUpload}, registrytest.UploadPut)
}

func lostAnswer(r *rand.Rand, _ *trial) fault {
	return at("lost answer", target(r), 0.2, 12, 0, registrytest.Fault{Break: registrytest.LoseResponse}, writes...)
}

func webPage(r *rand.Rand, _ *trial) fault {
	page := registrytest.Fault{HTML: "<html>sign in</html>"}
	return at("a portal's page", anySide(r), 0.1, 4, 0, page, registrytest.Tags, registrytest.ManifestGet, registrytest.ManifestHead, registrytest.BlobGet)
}

func expired(r *rand.Rand, _ *trial) fault {
	side := anySide(r)
	return fault{name: "tokens expire", side: side, now: func(s *trial) { s.servers[side].ExpireTokens() }}
}

func moved(_ *rand.Rand, _ *trial) fault {
	return fault{name: "a tag moves", side: "src", now: func(s *trial) { s.moveTag(s.nowRand) }}
}

func ghosts(r *rand.Rand, _ *trial) fault {
	return fault{name: "ghost tags", side: anySide(r), turn: func(q *registrytest.Quirks) { q.GhostTags = []string{"ghost", "t9"} }}
}

func readOnly(r *rand.Rand, _ *trial) fault {
	return fault{name: "read only", side: target(r), turn: func(q *registrytest.Quirks) { q.ReadOnly = true }}
}

func full(r *rand.Rand, _ *trial) fault {
	return fault{name: "full", side: target(r), turn: func(q *registrytest.Quirks) { q.Full = true }}
}

func forgotten(r *rand.Rand, _ *trial) fault {
	side := target(r)
	return fault{name: "uploads forgotten", side: side, now: func(s *trial) { s.servers[side].ForgetUploads() }}
}

// damaged makes one blob of the source wrong in its storage.
func damaged(r *rand.Rand, s *trial) fault {
	blob, how := s.someBlob(r), r.IntN(3)
	s.wrong = append(s.wrong, blob.String())
	f := fault{name: "a damaged blob", side: "src"}
	f.turn = func(*registrytest.Quirks) {
		switch how {
		case 0:
			s.must(s.src().CorruptBlob(blob, 0))
		case 1:
			s.must(s.src().ResizeBlob(blob, s.grow.sizes[blob.String()]-1))
		default:
			s.must(s.src().ResizeBlob(blob, s.grow.sizes[blob.String()]+10))
		}
	}
	f.mend = func(s *trial) { s.must(s.src().MendBlob(blob)) }
	return f
}

// drawQuirks makes registries what they are for the whole of a trial.
func (s *trial) drawQuirks() {
	r := s.grow
	for _, name := range append([]string{"src"}, s.targets...) {
		var what []string
		s.set(name, func(q *registrytest.Quirks) {
			q.Seed = s.seed
			is := func(percent int, quirk string, turn func()) {
				if r.chance(percent) {
					turn()
					what = append(what, quirk)
				}
			}
			is(30, "bearer", func() { q.Mode = registrytest.Bearer })
			is(15, "basic", func() { q.Mode = registrytest.Basic })
			q.Users = map[string]string{name: s.secrets[name]}
			is(25, "no referrers API", func() { q.NoReferrers = true })
			is(20, "pages of 2", func() { q.PageMax = 2 })
			is(10, "no Link", func() { q.NoLink = true }) // its clients ask for pages of 2
			is(10, "empty last page", func() { q.PageDefault, q.PageMax, q.TrailingLink = 2, 2, true })
			is(10, "relative locations", func() { q.Location = registrytest.Relative })
			is(10, "uploads at storage", func() { q.Location = registrytest.OnStorage })
			is(10, "If-Match ignored", func() { q.NoIfMatch = true })
			if name == "src" {
				is(30, "redirects", func() { q.Redirect = true })
				is(10, "no ranges", func() { q.NoRange = true })
				return
			}
			is(20, "no mounts", func() { q.NoMount = true })
			is(10, "mounts 404", func() { q.NoMount, q.MountStatus = true, 404 })
			is(5, "mounts lie", func() { q.MountLies = true })
			is(20, "hidden layers", func() { q.HiddenLayers = true })
			is(10, "mounts refused from a/one", func() { q.NoMountBetween = []registrytest.Pair{{From: "a/one", To: "*"}} })
			is(20, "sparse indexes", func() { q.SparseIndex = true })
			is(15, "immutable tags", func() {
				q.Immutable = []registrytest.Immutable{registrytest.ImmutableACR, registrytest.ImmutableECR, registrytest.ImmutableQuay,
					registrytest.ImmutableHarbor, registrytest.ImmutableGAR}[r.IntN(5)]
			})
			is(10, "no chunks", func() { q.NoChunks = true })
		})
		s.tell("%s is %v", name, what)
	}
	s.toldCaps = r.chance(50)
}

// idle is the patience of clients with bodies that do not move while faults are on.
const idle = 400 * time.Millisecond
