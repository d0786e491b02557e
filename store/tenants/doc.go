// Package tenants is a set of stores, one for each tenant, with one Append.
//
// A backend without tenants is the plain case: a set with the one tenant
// [tenant.Single], whose store is in the data directory itself. With tenants that
// store is still there and always open. Its lock keeps other backends away from
// all stores, and spans stored without tenants stay readable with them. The other
// stores are in folders below. They are opened at the start or by a tenant's first
// write, and a store that has been empty for a while is closed and removed, so
// that a mistyped name does not stay for long. Blocks of all tenants lie in one folder,
// a folder for each, as a Tempo's bucket has them.
//
// The package also holds what bounds tenants: the rate of each (rate.go), and the
// share of each in the disk, memory and spans that all may take (bounds.go).
package tenants
