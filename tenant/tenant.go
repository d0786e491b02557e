// Package tenant names the tenants of a request. It reads their names from the
// header X-Scope-OrgID, or from gRPC metadata of that name, and carries them in the
// request's context. It also names the folder of a tenant's data. Package
// store/tenants keeps the data.
package tenant

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Header names the tenant of a request, or several separated by a bar.
const Header = "X-Scope-OrgID"

// Single is the only tenant of a backend without tenants.
const Single = "single-tenant"

// MaxLength is the maximum number of bytes in a name.
const MaxLength = 150

// ErrMissing is the error of a request that names no tenant.
var ErrMissing = errors.New("no org id")

// InvalidError is the error of a request with invalid tenant names. Its text is meant for the caller.
type InvalidError struct{ text string }

func (e *InvalidError) Error() string { return e.text }

// ForWrite returns the tenant that a request writes to, from the values of its header. There must be exactly
// one; it may be repeated. The error is [ErrMissing] or an [*InvalidError].
func ForWrite(header []string) (string, error) {
	ids, err := ForRead(header)
	switch {
	case err != nil:
		return "", err
	case len(ids) > 1:
		return "", &InvalidError{"multiple org IDs present"}
	}
	return ids[0], nil
}

// ForRead returns the tenants that a request reads from, in order and without duplicates. The error is
// [ErrMissing] or an [*InvalidError].
func ForRead(header []string) ([]string, error) {
	text := strings.Join(header, "|")
	if text == "" {
		return nil, ErrMissing
	}
	ids := strings.Split(text, "|")
	for _, id := range ids {
		if err := check(id); err != nil {
			return nil, err
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func check(id string) error {
	switch {
	case id == "":
		return &InvalidError{"tenant ID is empty: write one name, or several as in t1|t2"}
	case len(id) > MaxLength:
		return &InvalidError{fmt.Sprintf("tenant ID is too long: it has %d bytes, the limit is %d", len(id), MaxLength)}
	case id == "." || id == "..":
		return &InvalidError{fmt.Sprintf("tenant ID '%s' is not a name", id)}
	}
	for _, c := range id {
		if !supported(c) {
			quoted := strconv.Quote(id)
			return &InvalidError{fmt.Sprintf("tenant ID '%s' contains unsupported character %s", quoted[1:len(quoted)-1], strconv.QuoteRune(c))}
		}
	}
	return nil
}

// supported reports whether Tempo's documentation allows a character in a name.
func supported(c rune) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.ContainsRune("!-_.*'()", c)
}
