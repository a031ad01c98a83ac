// Package idp is identity providers on loopback, for tests: keys that sign JSON Web
// Tokens ([Keys]), served as OpenID Connect discovery wants it, a cluster that
// projects tokens of service accounts ([Cluster]), and those who verify tokens as the
// clouds do ([Issuers]): they fetch the issuer's keys and check the signature for
// real. It is never part of the shipped binary.
//
//	cluster := idp.NewCluster(t)
//	token := cluster.Token("mirror", "transship", "sts.amazonaws.com", time.Hour)
//	known := &idp.Issuers{}
//	known.Know(cluster.Issuer(), cluster.URL())
//	claims, err := known.Verify(token)
//
// What a cloud requires beyond the signature (audience, subject, time) is that
// cloud's emulator's to check.
package idp
