// Package tenants is a set of stores, one for each tenant, with one Append.
//
// A backend without tenants is the plain case: a set with the one tenant [tenant.Single], whose store is in the
// data directory itself. With tenants that store still exists and is always open. Its lock keeps other backends
// away from all stores, and spans that were stored without tenants stay readable. The other stores are in
// folders below. The set opens them at the start or at a tenant's first write. It closes and removes a store
// that has been empty for a while, so that a mistyped tenant does not stay. The blocks of all tenants lie in
// one folder with a folder per tenant, as in Tempo's buckets.
//
// The package also limits tenants: rate.go limits the bytes per second of each, bounds.go its share of the
// common disk, memory and spans.
package tenants
