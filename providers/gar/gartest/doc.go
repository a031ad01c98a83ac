// Package gartest is Google Artifact Registry on loopback, for tests, the demo and
// the benchmarks: the Admin API that the Google client speaks to, and who gives out
// tokens (OAuth for service accounts and users, the Security Token Service, IAM
// credentials, the instance's metadata), before a registrytest.Server that has
// Artifact Registry's wire quirks on. It is never part of the shipped binary.
//
//	s := gartest.New(t, gartest.Options{})
//	s.Repository("acme/mirror", gartest.Settings{})
//	key := s.IAM().Account("sync")          // an account; its key file is s.KeyFile(key)
//	s.Load("acme/mirror/team/app", content.Image("app", layers), "v1")
//
// A [Server] is one location (europe-west1 unless told otherwise), with as many
// projects as it has repositories; or, with Options.GCR, one of the gcr.io hosts.
//
// It refuses what Artifact Registry refuses: tokens that it did not give or that are
// over, what the account may not do, repositories that nobody made (in the words
// that hide whether they are there), uploads in pieces, tags that are immutable,
// requests that come too fast. Each refusal and each quirk is a knob of [Quirks] or
// of registrytest's, on by default where the service has it always. What its
// documentation leaves open is marked UNVERIFIED at its knob.
package gartest
