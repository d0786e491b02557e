package program

import (
	"fmt"
	"net/http"

	"etude/query"
	"etude/receive"
	"etude/store"
	"etude/tenant"
)

// tenantFlags say whether there are tenants, and what each may send.
type tenantFlags struct {
	Multitenancy   bool      `name:"multitenancy" env:"ETUDE_MULTITENANCY" help:"Keep the spans of tenants apart, who name themselves by the header (gRPC: metadata) X-Scope-OrgID; reads may name several, as in t1|t2. What is stored without this flag is the tenant single-tenant's."`
	MaxTenants     int       `name:"max-tenants" env:"ETUDE_MAX_TENANTS" default:"64" help:"Refuse spans of a new tenant when so many have spans already."`
	PageTenant     string    `name:"page-tenant" env:"ETUDE_PAGE_TENANT" default:"single-tenant" help:"With --multitenancy, whose spans the page shows; several as in t1|t2."`
	MaxIngestRate  bytesFlag `name:"max-ingest-rate" env:"ETUDE_MAX_INGEST_RATE" default:"0" help:"Bytes a second of spans that each tenant may send, decompressed; above it clients are told to come back. 0 lifts the limit."`
	MaxIngestBurst bytesFlag `name:"max-ingest-burst" env:"ETUDE_MAX_INGEST_BURST" default:"0" help:"Bytes that may come at once before --max-ingest-rate holds; 0 is one second of it."`
}

func (f *tenantFlags) check() error {
	if f.MaxTenants < 1 {
		return fmt.Errorf("--max-tenants %d: want 1 or more", f.MaxTenants)
	}
	if _, err := tenant.ForRead([]string{f.PageTenant}); err != nil {
		return fmt.Errorf("--page-tenant: %w", err)
	}
	return nil
}

// ownHeaders name the tenant of the spans that the backend and the demo send.
func (f *tenantFlags) ownHeaders() map[string]string {
	if !f.Multitenancy {
		return nil
	}
	return map[string]string{tenant.Header: tenant.Single}
}

func (f *tenantFlags) newRateLimit() *rateLimit {
	return newRateLimit(int64(f.MaxIngestRate), int64(f.MaxIngestBurst))
}

// openStore opens what keeps the spans: one store, or one a tenant.
func (b *backendRun) openStore(dir string) (receive.Sink, error) {
	var err error
	if !b.cmd.Multitenancy {
		if b.store, err = store.Open(b.storeOptions(dir)); err != nil {
			return nil, err
		}
		if b.rate = b.cmd.newRateLimit(); b.rate != nil {
			return &limitedSink{b.store, b.rate}, nil
		}
		return b.store, nil
	}
	o := b.storeOptions(dir)
	limits := tenantLimits{most: b.cmd.MaxTenants, bounds: store.Bounds{Disk: o.MaxDisk, Memory: o.HeadMaxBytes, Spans: o.HeadMaxSpans},
		rate: b.cmd.newRateLimit, idle: tenantIdle, every: tenantCheck}
	b.tenants, err = openTenants(dir, limits, func(dir string) store.Options {
		return pieces(b.storeOptions(dir), b.cmd.MaxTenants)
	}, b.log)
	if err != nil {
		return nil, err
	}
	return b.tenants, nil
}

func (b *backendRun) engine() *query.Engine {
	o := b.queryOptions()
	if b.tenants != nil {
		return query.NewForTenants(b.tenants, o)
	}
	return query.New(b.store, o)
}

// held is what the stores hold and what they have read back, all together.
func (b *backendRun) held() (sum store.Stats) {
	b.eachStore(func(_ string, s *tenantStore) {
		st := s.Stats()
		sum.Spans += st.Spans
		sum.Tables += st.Tables
		sum.DiskBytes += st.DiskBytes
		sum.Replayed += st.Replayed
		sum.Damaged += st.Damaged
	})
	return sum
}

// eachStore calls f with the store of each tenant, or with the only one and "".
func (b *backendRun) eachStore(f func(tenant string, s *tenantStore)) {
	if b.tenants != nil {
		b.tenants.each(f)
		return
	}
	f("", &tenantStore{Store: b.store, rate: b.rate, generator: b.generator})
}

// ofPageTenant names a tenant for the page, which has no header to name one.
func (f *tenantFlags) ofPageTenant(next http.Handler) http.Handler {
	if !f.Multitenancy {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(tenant.Header) == "" {
			r.Header.Set(tenant.Header, f.PageTenant)
		}
		next.ServeHTTP(w, r)
	})
}
