package clouds

import (
	"strings"

	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest/idp"
)

// Auth is what a policy's auth.federated says, by its keys.
type Auth struct {
	From, Audience, TokenFile  string
	RoleARN, Region            string
	WorkloadIdentityProvider   string
	ServiceAccount             string
	TenantID, ClientID         string
	shown                      shown
	Issuer, Subject, Expecting string // what is shown, and the audience that is expected
}

// shown is an issuer, and where it is.
type shown struct{ issuer, at, subject, audience string }

// Trust makes one cloud trust who, whom [World.RunsIn] returned, of another; and lets
// them read and write its registry.
func (w *World) Trust(from, to, who string) Auth {
	a := Auth{From: from}
	a.shown = w.shows(from, to, who)
	switch to {
	case AWS:
		w.trustAtAWS(&a)
	case GCP:
		w.trustAtGoogle(&a, who)
	case Azure:
		w.trustAtAzure(&a)
	}
	if from == Azure {
		a.Audience = Application
	}
	if from == Kubernetes {
		a.TokenFile = w.Project(a.shown.audience)
	}
	a.Issuer, a.Subject, a.Expecting = a.shown.issuer, a.shown.subject, a.shown.audience
	return a
}

// Provider is the one of a pool for a cloud.
func Provider(from string) string {
	return "projects/42/locations/global/workloadIdentityPools/transship/providers/" + from
}

// shows is what one cloud says of somebody to another.
func (w *World) shows(from, to, who string) shown {
	s := shown{audience: map[string]string{AWS: "sts.amazonaws.com", GCP: "https://iam.googleapis.com/" + Provider(from), Azure: "api://AzureADTokenExchange"}[to]}
	switch from {
	case AWS:
		s.issuer, s.at = w.ECR.AllowOutbound()
		s.subject = who
	case GCP:
		s.issuer, s.at, s.subject = gartest.Issuer, w.GAR.IssuerURL(), w.GAR.IAM().Number(who)
	case Azure:
		s.issuer, s.at = w.ACR.Entra().Issuer(w.ACR.Tenant())
		s.subject, s.audience = who, Application
	default:
		s.issuer, s.at, s.subject = w.Cluster.Issuer(), w.Cluster.URL(), idp.Subject(Namespace, Account)
	}
	return s
}

func (w *World) trustAtAWS(a *Auth) {
	s, iam := a.shown, w.ECR.IAM()
	iam.OIDCProvider(s.issuer, s.at, s.audience)
	f := ecrtest.Federated{Issuer: s.issuer, Subject: s.subject, Audience: s.audience}
	if s.issuer == ecrtest.Google {
		f.Party = s.subject
	}
	a.RoleARN = iam.Role(w.ECR.Account(), "mirror-"+a.From, ecrtest.Trust{Federated: []ecrtest.Federated{f}})
	a.Region = w.ECR.Region()
}

func (w *World) trustAtGoogle(a *Auth, who string) {
	iam := w.GAR.IAM()
	a.WorkloadIdentityProvider, a.ServiceAccount = Provider(a.From), iam.Account("mirror-"+a.From)
	if a.From == AWS {
		p := gartest.PoolProvider{Name: a.WorkloadIdentityProvider, Account: w.ECR.Account(), STS: w.ECR.Endpoint()}
		iam.Pool(p, "")
		iam.Trust(a.ServiceAccount, p.Role(sessions(who)))
		return
	}
	p := gartest.PoolProvider{Name: a.WorkloadIdentityProvider, Issuer: a.shown.issuer,
		Condition: func(subject string) bool { return subject == a.shown.subject }}
	if a.From == Azure {
		p.Audiences = []string{Application}
	}
	iam.Pool(p, a.shown.at)
	iam.Trust(a.ServiceAccount, p.Member(a.shown.subject))
}

func (w *World) trustAtAzure(a *Auth) {
	s, entra := a.shown, w.ACR.Entra()
	entra.Know(s.issuer, s.at)
	app := entra.App("mirror-"+a.From, func(app *acrtest.App) {
		app.Secret, app.Federated = "", []acrtest.FederatedCredential{{Issuer: s.issuer, Subject: s.subject, Audience: s.audience}}
	})
	w.ACR.Assign(app.ClientID, acrtest.AcrPush)
	a.TenantID, a.ClientID = app.Tenant, app.ClientID
}

// sessions are those of a role, by its ARN.
func sessions(role string) string {
	return strings.Replace(strings.Replace(role, ":iam:", ":sts:", 1), ":role/", ":assumed-role/", 1)
}
