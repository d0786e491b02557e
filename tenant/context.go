package tenant

import "context"

type key struct{}

// With returns a context that carries the tenants of a request.
func With(ctx context.Context, ids ...string) context.Context {
	return context.WithValue(ctx, key{}, ids)
}

// Of returns the tenants in a context; none when tenants are off.
func Of(ctx context.Context) []string {
	ids, _ := ctx.Value(key{}).([]string)
	return ids
}
