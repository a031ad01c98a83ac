package gar

import (
	"context"
	"fmt"
	"strings"

	"github.com/transship/transship/providers"
)

// Way tries the links from another cloud to this registry, with new requests; nil if
// the identity comes from none.
func (r *Registry) Way(ctx context.Context) *providers.Way {
	s := r.source
	f := s.id.Federated
	if f == nil || r.given {
		return nil
	}
	way := &providers.Way{}
	var who providers.Identity
	way.Try(providers.LinkIdentity, func() (_ string, err error) {
		if who, err = f.whoami(ctx); err != nil {
			return "", s.broken(providers.LinkIdentity, err)
		}
		return who.String(), nil
	})
	var what shown
	way.Try(providers.LinkAssertion, func() (_ string, err error) {
		if what, err = s.assertion(ctx); err == nil {
			way.Trust = f.trust(what.assertion, who.Name, s.id.Impersonate)
		}
		return what.String(), err
	})
	var b base
	way.Try(providers.LinkExchange, func() (_ string, err error) {
		b, err = s.exchange(ctx, what)
		return f.Provider + " takes it", err
	})
	if len(s.id.Impersonate) > 0 {
		way.Try(providers.LinkImpersonation, func() (string, error) {
			acting, err := s.act(ctx, b)
			return "as " + acting.who.Name, err
		})
	}
	return way
}

func (f Federated) whoami(ctx context.Context) (providers.Identity, error) {
	if f.AWS != nil {
		return f.AWS.Whoami(ctx)
	}
	return f.Issuer.Whoami(ctx)
}

// trust is what to make at Google so that a is taken, or arn if Google asks AWS.
func (f Federated) trust(a providers.Assertion, arn string, impersonate []string) string {
	pool, id, _ := strings.Cut(strings.TrimPrefix(f.Provider, "projects/"), "/providers/")
	project, pool, _ := strings.Cut(pool, "/locations/global/workloadIdentityPools/")
	var b strings.Builder
	in := fmt.Sprintf(" --project=%s --location=global", project)
	fmt.Fprintf(&b, "gcloud iam workload-identity-pools create %s%s\n", pool, in)
	in += " --workload-identity-pool=" + pool
	member := "principal://iam.googleapis.com/" + f.pool() + "/subject/" + a.Subject
	if f.AWS != nil {
		role := roleOf(arn)
		member = "principalSet://iam.googleapis.com/" + f.pool() + "/attribute.aws_role/" + role
		fmt.Fprintf(&b, "gcloud iam workload-identity-pools providers create-aws %s%s --account-id=%s --attribute-condition=\"attribute.aws_role == '%s'\"\n", id, in, accountOf(arn), role)
	} else {
		fmt.Fprintf(&b, "gcloud iam workload-identity-pools providers create-oidc %s%s --issuer-uri=%s --allowed-audiences=%s --attribute-mapping=google.subject=assertion.sub --attribute-condition=\"assertion.sub == '%s'\"\n",
			id, in, a.Issuer, strings.Join(a.Audience, ","), a.Subject)
	}
	if len(impersonate) > 0 {
		fmt.Fprintf(&b, "gcloud iam service-accounts add-iam-policy-binding %s --role=roles/iam.workloadIdentityUser --member=\"%s\"\n", impersonate[0], member)
	} else {
		fmt.Fprintf(&b, "# grant the roles below to %s\n", member)
	}
	return b.String()
}

// roleOf is a session's role, as the pool's attribute.aws_role has it.
func roleOf(arn string) string {
	if i := strings.LastIndex(arn, "/"); i > 0 && strings.Contains(arn, ":assumed-role/") {
		return arn[:i]
	}
	return arn
}

// accountOf is the account in an ARN.
func accountOf(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}
