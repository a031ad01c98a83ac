// Package quaytest is Quay on loopback, for tests: a registrytest.Server that has
// Quay's wire quirks on, its token service, and the two lists of its API. It is
// never part of the shipped binary.
//
//	s := quaytest.New(t, quaytest.Options{})
//	robot := s.Account("acme+sync", quaytest.Creator("acme"))
//	s.Load("acme/app", content.Image("app", layers), "v1")
//
// It refuses what Quay refuses: scopes that it cannot read (delete and the catalog
// among them), accounts without the permission, tags that are immutable, namespaces
// that are full or disabled; and it drops what was pushed by its digest alone an
// hour before, by a clock that tests turn ([Server.Later]).
package quaytest
