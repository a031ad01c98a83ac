package trace

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// Open returns a Tracer as OpenTelemetry's variables in the environment say; nil if
// they name no endpoint, or say that there is to be none. The caller closes it.
// OTLP goes over HTTP.
func Open(version string, log *slog.Logger) (*Tracer, error) {
	wanted, err := wanted()
	if err != nil || !wanted {
		return nil, err
	}
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	inner, err := otlptracehttp.New(context.Background(), otlptracehttp.WithRetry(retry))
	if err != nil {
		return nil, err
	}
	who, err := resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", "transship"), attribute.String("service.version", version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	t := &Tracer{out: newExporter(inner, log)}
	t.provider = sdk.NewTracerProvider(sdk.WithBatcher(t.out), sdk.WithResource(who))
	t.tracer = t.provider.Tracer("github.com/transship/transship")
	return t, nil
}

// The variables of OpenTelemetry's specification that say whether there are traces,
// and where they go.
const (
	envDisabled       = "OTEL_SDK_DISABLED"
	envExporter       = "OTEL_TRACES_EXPORTER"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
)

// wanted reports whether the environment asks for traces; what it asks for and
// cannot be is an error.
func wanted() (bool, error) {
	from, endpoint := firstSet(envTracesEndpoint, envEndpoint)
	if endpoint == "" || strings.EqualFold(os.Getenv(envDisabled), "true") {
		return false, nil
	}
	switch e := os.Getenv(envExporter); e {
	case "", "otlp":
	case "none":
		return false, nil
	default:
		return false, fmt.Errorf("%s is %q; otlp and none are known", envExporter, e)
	}
	if from, p := firstSet(envTracesProtocol, envProtocol); p == "grpc" {
		return false, fmt.Errorf("%s is grpc; http/protobuf is spoken, which most collectors take at port 4318", from)
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false, fmt.Errorf("%s is no http or https address", from) // it may hold a password
	}
	return true, nil
}

// firstSet returns the first of the variables that is set, with its name.
func firstSet(names ...string) (name, value string) {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// Close exports what is left, for [patience] at most, and ends.
func (t *Tracer) Close() error {
	defer t.out.limit()()
	return t.provider.Shutdown(context.Background())
}
