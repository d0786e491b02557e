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

// tenantFlags control multitenancy and how much each tenant may send.
type tenantFlags struct {
	Multitenancy   bool        `name:"multitenancy" env:"ETUDE_MULTITENANCY" help:"Keep the spans of tenants apart. A request names its tenant in the header (gRPC: metadata) X-Scope-OrgID; a query may name several, as in t1|t2. Spans stored without this flag belong to the tenant single-tenant."`
	MaxTenants     int         `name:"max-tenants" env:"ETUDE_MAX_TENANTS" default:"64" help:"Maximum number of tenants with spans; spans of further tenants are refused."`
	PageTenant     string      `name:"page-tenant" env:"ETUDE_PAGE_TENANT" default:"single-tenant" help:"Tenant whose spans the page shows, with --multitenancy; several as in t1|t2."`
	MaxIngestRate  flags.Bytes `name:"max-ingest-rate" env:"ETUDE_MAX_INGEST_RATE" default:"0" help:"Maximum bytes of spans a second from each tenant, after decompression; beyond it, clients are told to retry. 0 means no limit."`
	MaxIngestBurst flags.Bytes `name:"max-ingest-burst" env:"ETUDE_MAX_INGEST_BURST" default:"0" help:"Maximum bytes in a burst above --max-ingest-rate; 0 means one second of it."`
}

// CheckTenants checks the flags before the backend opens anything.
func (f *tenantFlags) CheckTenants() error {
	if f.MaxTenants < 1 {
		return fmt.Errorf("--max-tenants %d: want 1 or more", f.MaxTenants)
	}
	if _, err := tenant.ForRead([]string{f.PageTenant}); err != nil {
		return fmt.Errorf("--page-tenant: %w", err)
	}
	return nil
}

// ownHeaders returns the headers that name the tenant of the spans that the backend and the demo send.
func (f *tenantFlags) ownHeaders() map[string]string {
	if !f.Multitenancy {
		return nil
	}
	return map[string]string{tenant.Header: tenant.Single}
}

// openStores opens a store for each tenant, or the only store.
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

// totals returns the sum of the statistics of all stores.
func (b *backendRun) totals() (sum store.Stats) {
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

// labelOf returns the tenant's name in metrics and messages, "" for the only one.
func (b *backendRun) labelOf(t *tenants.Tenant) string {
	if !b.cmd.Multitenancy {
		return ""
	}
	return t.ID
}

// ofPageTenant adds the tenant to the page's requests, which have no header for it.
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
