package ecrpublic

import (
	"flag"
	"testing"

	"github.com/transship/transship/providers/registrytest"
)

var update = flag.Bool("update", false, "write the provider's row of docs/providers.md")

// TestMatrix proves each cell of ECR Public's row.
func TestMatrix(t *testing.T) {
	registrytest.Matrix{
		Provider: "ecrpublic", Update: *update,
		Source:    registrytest.Cell{Says: "AWS's chain, in us-east-1; nobody, where AWS takes nobody", Test: source},
		Target:    registrytest.Cell{Says: "below an alias of the account that signs in; refusals name the permission", Test: TestMayNot},
		Bulk:      registrytest.Cell{Says: "`DescribeImages`, 1,000 a call, of the own account; others' tags by name, if listed at all", Test: bulk},
		Creation:  registrytest.Cell{Says: "made before the push, unless `create.never`", Test: TestEnsure},
		Referrers: registrytest.Cell{Says: "API", Test: TestReferrers},
		Mount:     registrytest.Cell{Says: "not documented: tried, remembered; an upload instead", Test: TestMount},
		Conflict:  registrytest.Cell{Says: "none: every tag may move", Test: TestTagsMove},
		Expiry:    registrytest.Cell{Says: "passwords after 12 hours, renewed after 6 and when they are over in a copy", Test: TestTokensEnd},
		Throttle:  registrytest.Cell{Says: "429 without Retry-After, `ThrottlingException`; published rates are kept", Test: TestThrottle},
	}.Run(t)
}

// source is who signs in, and that nobody need.
func source(t *testing.T) {
	t.Run("signed in", TestSignIn)
	t.Run("nobody", TestAnyoneReads)
}

// bulk is what is listed of our own, and of others.
func bulk(t *testing.T) {
	t.Run("own", TestRows)
	t.Run("others", TestRowsOfOthers)
}
