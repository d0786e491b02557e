package backend

import (
	"fmt"
	"net/http"
	"time"

	"etude/program/flags"
	"etude/store"
	"etude/store/tenants"
	"etude/tenant"
)

// tenantFlags say whether there are tenants, and how much each may send.
type tenantFlags struct {
	Multitenancy   bool        `name:"multitenancy" env:"ETUDE_MULTITENANCY" help:"Keep the spans of tenants apart. A request names its tenant by the header (gRPC: metadata) X-Scope-OrgID; a read may name several, as in t1|t2. Spans stored without this flag belong to the tenant single-tenant."`
	MaxTenants     int         `name:"max-tenants" env:"ETUDE_MAX_TENANTS" default:"64" help:"Most tenants with spans; spans of one more are refused."`
	PageTenant     string      `name:"page-tenant" env:"ETUDE_PAGE_TENANT" default:"single-tenant" help:"With --multitenancy, whose spans the page shows; several as in t1|t2."`
	MaxIngestRate  flags.Bytes `name:"max-ingest-rate" env:"ETUDE_MAX_INGEST_RATE" default:"0" help:"Bytes of spans a second that each tenant may send, decompressed; a client that sends more is told to retry. 0 lifts the limit."`
	MaxIngestBurst flags.Bytes `name:"max-ingest-burst" env:"ETUDE_MAX_INGEST_BURST" default:"0" help:"Bytes that may come at once before --max-ingest-rate holds; 0 is one second of it."`
}

// CheckTenants finds mistakes before anything is started.
func (f *tenantFlags) CheckTenants() error {
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

// openStores opens the storage: a store for each tenant, or for the only one.
func (b *backendRun) openStores(dir string) (err error) {
	c := b.cmd
	blocks := c.blockFlags.options()
	if blocks != nil {
		b.cache = blocks.Cache
	}
	b.stores, err = tenants.Open(tenants.Options{
		Store: store.Options{Dir: dir, Retention: time.Duration(c.Retention), MaxDisk: int64(c.MaxDisk), HeadMaxBytes: int64(c.HeadMaxBytes), HeadMaxSpans: c.HeadMaxSpans,
			Sync: c.WALSync, MaxQueue: int64(c.MaxQueue), Limits: c.spanLimits.limits(),
			Blocks: blocks, Priority: &b.priority, Observer: b.observer, Logger: b.log},
		Multi: c.Multitenancy, Most: c.MaxTenants, Rate: int64(c.MaxIngestRate), Burst: int64(c.MaxIngestBurst),
	})
	return err
}

// held is what the stores hold and what they have read back, all together.
func (b *backendRun) held() (sum store.Stats) {
	for _, t := range b.stores.Tenants() {
		st := t.Stats()
		sum.Spans += st.Spans
		sum.Tables += st.Tables
		sum.DiskBytes += st.DiskBytes
		sum.Replayed += st.Replayed
		sum.Damaged += st.Damaged
	}
	return sum
}

// labelOf is the tenant's name in metrics and messages; "" when there is only one.
func (b *backendRun) labelOf(t *tenants.Tenant) string {
	if !b.cmd.Multitenancy {
		return ""
	}
	return t.ID
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
