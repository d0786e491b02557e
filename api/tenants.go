package api

import (
	"context"
	"net/http"

	"etude/tenant"
)

// forTenants puts the tenants that a header names into the context. The header may name several; the answer
// joins their spans. Without tenants, all spans belong to [tenant.Single].
func (s *server) forTenants(ctx context.Context, header []string) (context.Context, error) {
	if !s.Multitenancy {
		return tenant.With(ctx, tenant.Single), nil
	}
	ids, err := tenant.ForRead(header)
	if err != nil {
		return nil, err
	}
	return tenant.With(ctx, ids...), nil
}

func (s *server) ofTenants(r *http.Request) (*http.Request, error) {
	ctx, err := s.forTenants(r.Context(), r.Header.Values(tenant.Header))
	if err != nil || ctx == r.Context() {
		return r, err
	}
	return r.WithContext(ctx), nil
}
