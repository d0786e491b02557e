package tenant

import (
	"encoding/base32"
	"slices"
	"strings"
)

// encodedMark begins the name of every encoded folder.
const encodedMark = "="

// folderCode has no letters that differ only by case. A name of MaxLength becomes 240 bytes; file systems allow
// 255.
var folderCode = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// Folder returns the name of the folder with a tenant's data: the tenant's own name, if every system accepts it
// unchanged. Others are encoded: some file systems do not distinguish A from a, and Windows refuses some
// characters and drops dots at the end.
func Folder(id string) string {
	plain := strings.IndexFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}) < 0
	if plain && !isDevice(id) {
		return id
	}
	return encodedMark + folderCode.EncodeToString([]byte(id))
}

// OfFolder returns the tenant whose folder has this name; ok is false when there is none.
func OfFolder(name string) (id string, ok bool) {
	id = name
	if code, encoded := strings.CutPrefix(name, encodedMark); encoded {
		b, err := folderCode.DecodeString(code)
		if err != nil {
			return "", false
		}
		id = string(b)
	}
	if got, err := ForWrite([]string{id}); err != nil || got != id || id == Single {
		return "", false
	}
	return id, Folder(id) == name
}

// isDevice reports whether Windows treats a name as a device.
func isDevice(name string) bool {
	if len(name) == 4 && (name[:3] == "com" || name[:3] == "lpt") {
		return name[3] >= '0' && name[3] <= '9'
	}
	return slices.Contains([]string{"con", "prn", "aux", "nul"}, name)
}
