package shop

import (
	"context"
	"errors"
	"log"
	"os"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/trace"
)

// TestMain sends the spans of all tests to where the OTEL_* variables say, if they
// say where, and waits until they have been sent.
func TestMain(m *testing.M) {
	status := func() int {
		if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" {
			return m.Run()
		}
		exporter, err := otlptracehttp.New(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		provider := trace.NewTracerProvider(trace.WithBatcher(exporter))
		otel.SetTracerProvider(provider)
		defer func() {
			if err := provider.Shutdown(context.Background()); err != nil {
				log.Print(err)
			}
		}()
		return m.Run()
	}()
	os.Exit(status)
}

func TestCheckout(t *testing.T) {
	if err := Checkout(t.Context(), []string{"tea", "cups"}, "4242"); err != nil {
		t.Error(err)
	}
}

func TestDeclined(t *testing.T) {
	if err := Checkout(t.Context(), []string{"tea"}, ""); !errors.Is(err, ErrDeclined) {
		t.Errorf("got %v, want %v", err, ErrDeclined)
	}
}
