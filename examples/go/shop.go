// Package shop takes orders. It is an example of an instrumented package whose spans are tested. It uses
// OpenTelemetry's API; the program that uses the package, here its test, decides where spans go.
package shop

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// ErrDeclined is the error of a card without sufficient funds.
var ErrDeclined = errors.New("card declined")

// Checkout queries the stock of each article and charges the card.
func Checkout(ctx context.Context, articles []string, card string) error {
	ctx, span := otel.Tracer("shop").Start(ctx, "checkout", trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	span.SetAttributes(attribute.Int("cart.size", len(articles)))
	if err := stock(ctx, articles); err != nil {
		return err
	}
	if err := charge(ctx, card); err != nil {
		span.SetStatus(codes.Error, err.Error())
		return fmt.Errorf("check out: %w", err)
	}
	return nil
}

// stock queries all articles at once.
func stock(ctx context.Context, articles []string) error {
	_, span := otel.Tracer("shop").Start(ctx, "SELECT stock", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	span.SetAttributes(attribute.StringSlice("articles", articles))
	return nil
}

func charge(ctx context.Context, card string) error {
	_, span := otel.Tracer("shop").Start(ctx, "charge", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	if card == "" {
		span.SetStatus(codes.Error, ErrDeclined.Error())
		return ErrDeclined
	}
	return nil
}
