// Package acrtest is Azure Container Registry on loopback, for tests, the demo
// and the benchmarks: Microsoft Entra ID with an instance's metadata service, and
// a registrytest.Server that has ACR's wire quirks on, its token service and its
// metadata API. It is never part of the shipped binary.
//
//	s := acrtest.New(t, acrtest.Options{})
//	app := s.Entra().App("sync")            // a service principal with a secret
//	s.Assign(app.ClientID, acrtest.AcrPush) // a role at the registry
//	s.Load("team/app", content.Image("app", layers), "v1")
//
// A [Server] is one registry. Several share one [Entra].
//
// It refuses what ACR refuses: tokens of Entra for another audience or tenant,
// whatever no role allows, locked tags, manifests and repositories, too many
// requests a minute. Each refusal and each quirk is a knob of [Quirks] or of
// registrytest's, on by default where ACR has it always. What the documentation
// leaves open is marked UNVERIFIED at its knob.
package acrtest
