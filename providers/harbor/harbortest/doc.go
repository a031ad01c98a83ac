// Package harbortest is Harbor on loopback, for tests: a registrytest.Server that
// has Harbor's wire quirks on, its projects and robot accounts, its token service
// and what transship asks of its API. It is never part of the shipped binary.
//
//	s := harbortest.New(t, harbortest.Options{})
//	s.Project("acme", harbortest.Project{})
//	robot := s.Robot("robot$acme+sync", harbortest.On("acme", harbortest.Writer...))
//	s.Load("acme/app", content.Image("app", layers), "v1")
//
// It refuses what Harbor refuses: projects that are not there (as a login that is
// refused), robots without the permission, tags that are immutable, images that a
// project's policy holds back, full projects, pushes to a proxy cache. What refers
// to an image is its accessory, and hidden from the list of artifacts with its tag.
package harbortest
