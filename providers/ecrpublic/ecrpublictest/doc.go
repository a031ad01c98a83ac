// Package ecrpublictest is Amazon ECR Public on loopback, for tests: the registry
// that all accounts share, with its token service, and its API in us-east-1 beside
// an ecrtest.Server, whose IAM and STS it has. It is never part of the shipped
// binary.
//
//	s := ecrpublictest.New(t, ecrpublictest.Options{})
//	key := s.AWS().IAM().User("sync")  // of account 123456789012, whose alias is "acme"
//	s.Load("acme/app", content.Image("app", layers), "v1")
//	s.Load("docker/library/alpine", …)  // another account's
//
// It refuses what ECR Public refuses: pushes of those who do not own the alias or may
// not, repositories that were not made, tokens whose time is over even where nobody
// need sign in, the API in other regions. What the documentation leaves open is
// marked UNVERIFIED at its knob.
package ecrpublictest
