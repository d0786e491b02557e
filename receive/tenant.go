package receive

import (
	"context"
	"errors"

	"etude/tenant"
)

// forTenant returns a context with the one tenant that a request names. It is called
// only with Config.Multitenancy.
func forTenant(ctx context.Context, header []string) (context.Context, error) {
	id, err := tenant.ForWrite(header)
	switch {
	case errors.Is(err, tenant.ErrMissing):
		return nil, refuse(noTenant, "%v", err)
	case err != nil:
		return nil, refuse(badTenant, "%v", err)
	}
	return tenant.With(ctx, id), nil
}
