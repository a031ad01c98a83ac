// Package registrytest is a container registry on loopback for tests, the demo
// and the benchmarks: strict where real registries are, odd where a test says so
// ([Quirks]), failing when asked ([Fault]), and counting every request and byte
// ([Counts]). It is never part of the shipped binary, and never listens beyond
// loopback.
//
//	s := registrytest.New(t, registrytest.Options{})
//	s.Load("team/app", content.Image("app", layers), "v1")
//	s.Set(func(q *registrytest.Quirks) { q.NoMount = true })
//
// Content comes from package content below; [Server.Load] puts it in without a
// request. [Server.Verify] and [Equal] hold what a test did against what should be.
// [Conformance] is the suite that defines a providers.Registry.
//
// # Design
//
// A front of ours stands before the distribution module, which runs in the same
// process. Uploads and mounts are distribution's: its handlers, its upload states,
// its errors. What they store is in a storage driver of ours, from which blobs are
// served directly, because distribution's handler takes 4 MiB of buffer for each
// read. So a blob is in a repository exactly if distribution linked it there.
//
// Manifests, tags, catalog and referrers are the front's own. Distribution 3.1
// refuses what other registries take (Docker schema 1, artifact manifests), has no
// referrers API, and decides at start what quirks have to change while it runs
// (sparse indexes, immutable tags, page sizes). A test compares the front's
// answers with those of bare distribution wherever both have one.
//
// Three listeners share one address: the registry, the storage host to which blob
// reads may be redirected, and the token service. Clients refuse to be sent to a
// private address on another host, so the hosts differ by port alone.
//
// Which request fails depends on the seed, its class, its path and how often that
// path was asked for; so the same client with the same seed meets the same faults,
// whatever the machine's speed and the order of its goroutines.
package registrytest
