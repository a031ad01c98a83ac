package idp

import (
	"net/http/httptest"
	"testing"
	"time"
)

// A Cluster is a Kubernetes API server as far as it projects tokens of service
// accounts and publishes its keys. It is safe for concurrent use.
type Cluster struct {
	*Keys
	http *httptest.Server
}

// NewCluster starts a cluster that ends with the test. Its tokens name an issuer as
// managed clusters have one, which is not where it is: see [Cluster.URL].
func NewCluster(t testing.TB) *Cluster {
	c := &Cluster{Keys: NewKeys("https://oidc.cluster.example/id/" + random())}
	c.http = httptest.NewServer(c.Keys)
	t.Cleanup(c.http.Close)
	return c
}

// URL is where its discovery document is.
func (c *Cluster) URL() string { return c.http.URL }

// Close ends its listener: nobody finds its keys any more.
func (c *Cluster) Close() { c.http.Close() }

// Subject is a service account as tokens name it.
func Subject(namespace, name string) string { return "system:serviceaccount:" + namespace + ":" + name }

// Token is what the kubelet projects; change may alter its claims first.
func (c *Cluster) Token(namespace, name, audience string, life time.Duration, change ...func(claims map[string]any)) string {
	now := time.Now()
	claims := map[string]any{"sub": Subject(namespace, name), "aud": []string{audience}, "iat": now.Unix(), "nbf": now.Unix(),
		"exp": now.Add(life).Unix(), "kubernetes.io": map[string]any{"namespace": namespace, "serviceaccount": map[string]string{"name": name}}}
	for _, f := range change {
		f(claims)
	}
	return c.Sign(claims)
}
