package tenant_test

import (
	"testing"

	"etude/tenant"
)

// BenchmarkWrite is what a request costs more with tenants than without.
func BenchmarkWrite(b *testing.B) {
	header := []string{"team-a"}
	b.ReportAllocs()
	for b.Loop() {
		id, err := tenant.ForWrite(header)
		if err != nil {
			b.Fatal(err)
		}
		if ids := tenant.Of(tenant.With(b.Context(), id)); len(ids) != 1 {
			b.Fatal(ids)
		}
	}
}
