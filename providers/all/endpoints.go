package all

import (
	"os"

	"github.com/transship/transship/providers/acr"
	"github.com/transship/transship/providers/gar"
)

// Where the clouds' own services are, if they are not where they always are:
// private endpoints, clouds of one's own, emulators. Each cloud's tools have
// variables for it, which count here, too; AWS's SDK reads its own.

// garEndpoints are what gcloud takes from its properties api_endpoint_overrides and
// artifacts/location. The location counts for hosts whose names do not tell it.
func garEndpoints() gar.Endpoints {
	return gar.Endpoints{
		API:      os.Getenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY"),
		IAM:      os.Getenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS"),
		Location: os.Getenv("CLOUDSDK_ARTIFACTS_LOCATION"),
	}
}

// acrEndpoints has the authority that Azure's SDKs take from AZURE_AUTHORITY_HOST.
// One that is named is trusted: Microsoft's own is not asked whether it knows it.
func acrEndpoints() acr.Endpoints {
	return acr.Endpoints{Authority: os.Getenv("AZURE_AUTHORITY_HOST")}
}
