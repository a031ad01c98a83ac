// Package ecrtest is Amazon ECR on loopback, for tests, the demo and the
// benchmarks: the control plane that the AWS SDK speaks to, STS, and the
// credential endpoint of EKS Pod Identity before a registrytest.Server that has
// ECR's wire quirks on. It is never part of the shipped binary.
//
//	s := ecrtest.New(t, ecrtest.Options{})
//	key := s.IAM().User("sync")             // an access key
//	s.Load("team/app", content.Image("app", layers), "v1")
//
// A [Server] is one account in one region. Several share one [IAM], so that a
// role of one account can be assumed by another's user.
//
// It refuses what ECR refuses: unknown keys, expired sessions, signatures that do
// not fit or are for another region, operations that the principal may not do,
// repositories that nobody made, tags that are immutable, manifests that come too
// fast. Each refusal and each quirk is a knob of [Quirks] or of registrytest's,
// on by default where ECR has it always. What ECR's documentation leaves open is
// marked UNVERIFIED at its knob.
package ecrtest
